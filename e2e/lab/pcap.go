package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// pcap writes what passes in the VPC until ctx ends.
func pcap(ctx context.Context, dir string, enis []string, out io.Writer) error {
	s, err := readStatus(ctx, dir)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Control+"/v1/pcap?"+url.Values{"eni": enis}.Encode(), nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10)) // the status is there without
		return fmt.Errorf("%s: %s", response.Status, why)
	}
	if _, err := io.Copy(out, response.Body); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
