use super::{Codec, UNPACKED_MAX, Unpacker};
use proptest::prelude::*;
use std::io::Write;

const CODECS: [Codec; 5] = [Codec::Plain, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

/// By other people's compressors.
pub fn pack(codec: Codec, bytes: &[u8]) -> Vec<u8> {
    match codec {
        Codec::Plain => bytes.to_vec(),
        Codec::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Codec::Snappy => snap::raw::Encoder::new().compress_vec(bytes).unwrap(),
        Codec::Lz4 => lz4(bytes, lz4_flex::frame::BlockMode::Independent),
        Codec::Zstd => {
            let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
    }
}

fn lz4(bytes: &[u8], mode: lz4_flex::frame::BlockMode) -> Vec<u8> {
    let info = lz4_flex::frame::FrameInfo::new()
        .block_mode(mode)
        .block_size(lz4_flex::frame::BlockSize::Max64KB)
        .block_checksums(bytes.len().is_multiple_of(2))
        .content_checksum(bytes.len().is_multiple_of(3));
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// In the chunks of Java's library.
fn xerial(bytes: &[u8]) -> Vec<u8> {
    let mut packed = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
    for chunk in bytes.chunks(32 << 10) {
        let chunk = pack(Codec::Snappy, chunk);
        packed.extend((chunk.len() as u32).to_be_bytes());
        packed.extend(chunk);
    }
    packed
}

/// Some of it repeats.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let pieces = proptest::collection::vec(any::<u8>(), 1..200);
    (pieces, 0_usize..1500).prop_map(|(piece, times)| piece.repeat(times))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn what_others_compress_comes_out_one_after_the_other(texts in proptest::collection::vec(bytes(), 1..4)) {
        let mut unpacker = Unpacker::default();
        for bytes in &texts {
            for codec in CODECS {
                prop_assert_eq!(unpacker.unpack(codec, &pack(codec, bytes)), Ok(()));
                prop_assert!(unpacker.unpacked() == bytes, "{:?}", codec);
            }
            prop_assert_eq!(unpacker.unpack(Codec::Lz4, &lz4(bytes, lz4_flex::frame::BlockMode::Linked)), Ok(()));
            prop_assert!(unpacker.unpacked() == bytes);
            prop_assert_eq!(unpacker.unpack(Codec::Snappy, &xerial(bytes)), Ok(()));
            prop_assert!(unpacker.unpacked() == bytes);
        }
    }

    #[test]
    fn what_is_cut_off_is_refused(bytes in bytes(), end: prop::sample::Index) {
        let mut unpacker = Unpacker::default();
        for codec in [Codec::Gzip, Codec::Lz4, Codec::Zstd] {
            let packed = pack(codec, &bytes);
            let end = end.index(packed.len().saturating_sub(8).max(1));
            prop_assert!(unpacker.unpack(codec, &packed[..end]).is_err(), "{:?} at {}", codec, end);
        }
    }

    #[test]
    fn anything_else_is_refused_or_read_without_a_panic(bytes: Vec<u8>) {
        let mut unpacker = Unpacker::default();
        for codec in CODECS {
            let _ = unpacker.unpack(codec, &bytes);
            // With a head that is right.
            let packed = pack(codec, &bytes);
            let mut changed = packed[..packed.len().min(7)].to_vec();
            changed.extend(&bytes);
            let _ = unpacker.unpack(codec, &changed);
        }
    }
}

#[test]
fn a_bomb_stops_at_the_bound() {
    let bomb = pack(Codec::Zstd, &vec![0; UNPACKED_MAX + 1]);
    assert!(bomb.len() < 1 << 20);
    let error = Unpacker::default().unpack(Codec::Zstd, &bomb).unwrap_err();
    assert_eq!(error, "decompressed it is larger than 256 MiB");
    // A raw block of snappy says how long it is to be.
    assert!(Unpacker::default().unpack(Codec::Snappy, &[0xff, 0xff, 0xff, 0xff, 0x0f, 0]).is_err());
}
