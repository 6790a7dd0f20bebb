package main

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
)

const megabyte = 1e6

// size measures what every worker pulls and every pod maps.
func size(_ context.Context, b *bench) error {
	program, err := os.Open(b.bin("ipmgr"))
	if err != nil {
		return fmt.Errorf("run make build first: %w", err)
	}
	defer func() { _ = program.Close() }()
	var packed counter
	zip, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return err
	}
	n, err := io.Copy(zip, program)
	if err != nil {
		return err
	}
	if err := zip.Close(); err != nil {
		return err
	}
	b.figure("ipmgr, linux, stripped", fmt.Sprintf("%.2f MB", float64(n)/megabyte), "12 MB or less")
	b.figure("the same, gzip -9: the image's largest layer", fmt.Sprintf("%.2f MB", float64(packed)/megabyte), "5 MB or less with certificates")
	return nil
}

// counter counts what is written.
type counter int64

// Write counts p.
func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
