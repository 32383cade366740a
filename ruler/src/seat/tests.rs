use super::*;

#[test]
fn one_has_the_seat_and_the_next_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("alerts");
    let first = Seat::take(&place).unwrap();
    let refused = Seat::take(&place).unwrap_err();
    assert!(matches!(&refused, RulerError::Taken(folder) if *folder == place), "{refused}");
    assert!(refused.to_string().contains("another process evaluates the rules"), "{refused}");
    drop(first);
    Seat::take(&place).unwrap();
}

#[test]
fn a_folder_that_cannot_be_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Seat::take(&file).unwrap_err().to_string();
    assert!(error.contains("cannot lock") && error.contains("seat.lock"), "{error}");
}
