package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	metadataURL = "http://169.254.169.254/latest/"
	// metadataTimeout is how long an answer may take. A token that may not
	// travel so far never comes.
	metadataTimeout = 2 * time.Second
)

// metadata asks the instance metadata service, version 2.
func metadata(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
	defer cancel()
	token, err := ask(ctx, http.MethodPut, "api/token", "X-aws-ec2-metadata-token-ttl-seconds", "60")
	if err != nil {
		return "", err
	}
	return ask(ctx, http.MethodGet, "meta-data/"+path, "X-aws-ec2-metadata-token", token)
}

func ask(ctx context.Context, method, path, header, value string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, method, metadataURL+path, http.NoBody)
	if err != nil {
		return "", err
	}
	request.Header.Set(header, value)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s", method, path, response.Status)
	}
	return strings.TrimSpace(string(text)), err
}

func metadataFor(w http.ResponseWriter, r *http.Request) {
	text, err := metadata(r.Context(), r.FormValue("path"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusGatewayTimeout)
		return
	}
	fmt.Fprint(w, text)
}
