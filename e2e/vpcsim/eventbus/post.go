package eventbus

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// How an event is posted: an answer that is not of class 2xx, or none, is
// followed by another try, as EventBridge does for longer.
const (
	postTries   = 5
	postPause   = time.Second
	postTimeout = 30 * time.Second
)

// Post returns a subscriber that posts each event to a URL. It gives up after a
// few tries, or when the simulator closes.
func Post(url string, client *http.Client, sleep func(time.Duration) error, closing <-chan struct{}) func([]byte) {
	return func(event []byte) {
		for range postTries {
			if post(url, client, event, closing) == nil || sleep(postPause) != nil {
				return
			}
		}
	}
}

func post(url string, client *http.Client, event []byte, closing <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), postTimeout) //nolint:forbidigo // nobody else's context: an event outlives the request that caused it
	defer cancel()
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-closing:
			cancel()
		case <-done:
		}
	}()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(event))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20)) // so that the connection can be used again
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return nil
}
