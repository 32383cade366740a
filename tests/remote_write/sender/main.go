// Sends one request of remote write 2.0 with Prometheus' own client: a counter with metadata, a gauge that ends, native
// histograms. Arguments: the address, and the time of the last samples in milliseconds since the epoch.
// Prints what the receiver says it has written.
package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"strconv"

	"github.com/prometheus/client_golang/exp/api/remote"
	writev2 "github.com/prometheus/client_golang/exp/api/remote/genproto/v2"
)

// The NaN that says "the series ended here".
const staleBits = 0x7ff0000000000002

func main() {
	if err := send(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func send(address, last string) error {
	end, err := strconv.ParseInt(last, 10, 64)
	if err != nil {
		return err
	}
	symbols := writev2.NewSymbolTable()
	labels := func(pairs ...string) []uint32 { return symbols.SymbolizeLabels(pairs, nil) }
	counter := &writev2.TimeSeries{
		LabelsRefs: labels("__name__", "v2_requests_total", "job", "go"),
		Metadata: &writev2.Metadata{
			Type:    writev2.Metadata_METRIC_TYPE_COUNTER,
			HelpRef: symbols.Symbolize("Requests, as 2.0 says."),
			UnitRef: symbols.Symbolize(""),
		},
	}
	gauge := &writev2.TimeSeries{LabelsRefs: labels("__name__", "v2_gauge", "job", "go")}
	histogram := &writev2.TimeSeries{LabelsRefs: labels("__name__", "v2_seconds", "job", "go")}
	signs := &writev2.TimeSeries{LabelsRefs: labels("__name__", "v2_shapes", "of", "signs")}
	fine := &writev2.TimeSeries{LabelsRefs: labels("__name__", "v2_shapes", "of", "fine")}
	bounds := &writev2.TimeSeries{LabelsRefs: labels("__name__", "v2_shapes", "of", "bounds")}
	for at := int64(0); at <= 20; at++ {
		time := end - (20-at)*15_000
		counter.Samples = append(counter.Samples, &writev2.Sample{Value: float64(at * 3), Timestamp: time})
		value := float64(at) / 7
		if at == 20 {
			value = math.Float64frombits(staleBits)
		}
		gauge.Samples = append(gauge.Samples, &writev2.Sample{Value: value, Timestamp: time})
		histogram.Histograms = append(histogram.Histograms, &writev2.Histogram{
			Count:          &writev2.Histogram_CountInt{CountInt: uint64(at * 4)},
			Sum:            float64(at * 5),
			Schema:         0,
			ZeroThreshold:  1e-128,
			ZeroCount:      &writev2.Histogram_ZeroCountInt{ZeroCountInt: uint64(at)},
			PositiveSpans:  []*writev2.BucketSpan{{Offset: 0, Length: 1}, {Offset: 1, Length: 1}},
			PositiveDeltas: []int64{at, at},
			Timestamp:      time,
		})
		// On both sides of zero, and begun anew in the middle; far enough from its zero that no rate is stretched to it.
		k := at%13 + 5
		signs.Histograms = append(signs.Histograms, &writev2.Histogram{
			Count:          &writev2.Histogram_CountInt{CountInt: uint64(k * 11)},
			Sum:            float64(k) * 3.5,
			Schema:         0,
			ZeroThreshold:  0.001,
			ZeroCount:      &writev2.Histogram_ZeroCountInt{ZeroCountInt: uint64(k)},
			PositiveSpans:  []*writev2.BucketSpan{{Offset: -1, Length: 2}, {Offset: 2, Length: 1}},
			PositiveDeltas: []int64{k, k, k},
			NegativeSpans:  []*writev2.BucketSpan{{Offset: 1, Length: 2}},
			NegativeDeltas: []int64{k * 3, k * -2},
			Timestamp:      time,
		})
		// Narrower buckets, counts that are no whole numbers.
		n := float64(at + 10)
		fine.Histograms = append(fine.Histograms, &writev2.Histogram{
			Count:          &writev2.Histogram_CountFloat{CountFloat: n * 4.5},
			Sum:            n * 11,
			Schema:         3,
			ZeroCount:      &writev2.Histogram_ZeroCountFloat{ZeroCountFloat: 0},
			PositiveSpans:  []*writev2.BucketSpan{{Offset: 8, Length: 3}},
			PositiveCounts: []float64{n * 0.5, n * 3, n},
			Timestamp:      time,
		})
		// Bounds of its own.
		m := at + 10
		bounds.Histograms = append(bounds.Histograms, &writev2.Histogram{
			Count:          &writev2.Histogram_CountInt{CountInt: uint64(m * 20)},
			Sum:            float64(m) * 240,
			Schema:         -53,
			CustomValues:   []float64{5, 10, 20},
			PositiveSpans:  []*writev2.BucketSpan{{Offset: 0, Length: 4}},
			PositiveDeltas: []int64{m * 5, 0, m * 3, m * -6},
			Timestamp:      time,
		})
	}
	all := []*writev2.TimeSeries{counter, gauge, histogram, signs, fine, bounds}
	request := &writev2.Request{Timeseries: all, Symbols: symbols.Symbols()}
	api, err := remote.NewAPI("http://"+address, remote.WithAPIPath("api/v1/write"))
	if err != nil {
		return err
	}
	stats, err := api.Write(context.Background(), remote.WriteV2MessageType, request)
	if err != nil {
		return err
	}
	fmt.Printf("%d %d %d\n", stats.Samples, stats.Histograms, stats.Exemplars)
	return nil
}
