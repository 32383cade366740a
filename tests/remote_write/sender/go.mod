module tidewatch/tests/remote_write/sender

go 1.25.0

require github.com/prometheus/client_golang/exp v0.0.0-20260907100614-57bb367da472

require (
	github.com/klauspost/compress v1.19.2 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)
