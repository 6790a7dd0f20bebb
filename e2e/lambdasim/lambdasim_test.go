package lambdasim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/lambdasim"
)

// TestMain plays the function when it is started as one.
func TestMain(m *testing.M) {
	if api := os.Getenv("AWS_LAMBDA_RUNTIME_API"); api != "" {
		if err := function("http://" + api + "/2018-06-01/runtime/"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// order is an event of the tests: what the function does with it.
type order struct {
	Do string `json:"do"`
	// Times is how often it does that; then it succeeds. The count is kept in a
	// file of this name, over the lives of processes.
	Times int    `json:"times,omitempty"`
	Count string `json:"count,omitempty"`
}

// function is a program that speaks the runtime API.
func function(api string) error {
	if os.Getenv("START") == "exit" {
		return errors.New("the settings are wrong")
	}
	for {
		response, err := http.Get(api + "invocation/next")
		if err != nil {
			return err
		}
		event, err := io.ReadAll(response.Body)
		if err != nil {
			return err
		}
		_ = response.Body.Close()
		id := response.Header.Get("Lambda-Runtime-Aws-Request-Id")
		path, body := "/response", []byte(`"done"`)
		switch do(event) {
		case "fail":
			path, body = "/error", []byte(`{"errorMessage":"it failed"}`)
		case "die":
			return errors.New("the function was told to die")
		case "hang":
			select {}
		case "large":
			body = bytes.Repeat([]byte(" "), lambdasim.MaxAnswer+1)
		case "deadline":
			body = []byte(`"` + response.Header.Get("Lambda-Runtime-Deadline-Ms") + `"`)
		case "environment":
			body, _ = json.Marshal(os.Environ())
		}
		answer, err := http.Post(api+"invocation/"+id+path, "application/json", bytes.NewReader(body))
		if err != nil {
			return err
		}
		_ = answer.Body.Close()
	}
}

// do says what to do with an event.
func do(event []byte) string {
	var o order
	if json.Unmarshal(event, &o) != nil {
		return ""
	}
	if o.Count == "" {
		return o.Do
	}
	before, _ := os.ReadFile(o.Count)
	if len(before) >= o.Times {
		return ""
	}
	_ = os.WriteFile(o.Count, append(before, '.'), 0o600)
	return o.Do
}

// start returns a function that this test binary plays.
func start(t *testing.T, change func(*lambdasim.Options)) *lambdasim.Function {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o := lambdasim.Options{Command: []string{exe}, Speed: 600}
	if change != nil {
		change(&o)
	}
	f, err := lambdasim.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// play has a function carry out orders to the end.
func play(t *testing.T, f *lambdasim.Function, orders ...order) {
	t.Helper()
	for _, o := range orders {
		event, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Invoke(event); err != nil {
			t.Fatal(err)
		}
	}
	wait(t, f)
}

func wait(t *testing.T, f *lambdasim.Function) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := f.Wait(ctx); err != nil {
		t.Fatal(err)
	}
}

func results(f *lambdasim.Function) []lambdasim.Result {
	var list []lambdasim.Result
	for _, try := range f.Tries() {
		list = append(list, try.Result)
	}
	return list
}

func TestTriesOfAnInvocation(t *testing.T) {
	const ok, failed, died, late = lambdasim.Succeeded, lambdasim.Failed, lambdasim.Died, lambdasim.TimedOut
	for _, tc := range []struct {
		name    string
		do      string
		times   int
		change  func(*lambdasim.Options)
		want    []lambdasim.Result
		letters int
	}{
		{name: "it succeeds at once", want: []lambdasim.Result{ok}},
		{name: "it fails once", do: "fail", times: 1, want: []lambdasim.Result{failed, ok}},
		{name: "it fails for good", do: "fail", times: 9, want: []lambdasim.Result{failed, failed, failed}, letters: 1},
		{name: "its answer is too large", do: "large", times: 1, want: []lambdasim.Result{failed, ok}},
		{name: "its process dies twice", do: "die", times: 2, want: []lambdasim.Result{died, died, ok}},
		{name: "it takes too long", do: "hang", times: 1, want: []lambdasim.Result{late, ok},
			change: func(o *lambdasim.Options) { o.Timeout = 500 * time.Millisecond }},
		{name: "its process does not come up", want: []lambdasim.Result{died, died, died}, letters: 1,
			change: func(o *lambdasim.Options) { o.Env = []string{"START=exit"} }},
		{name: "the program does not exist", want: []lambdasim.Result{died, died, died}, letters: 1,
			change: func(o *lambdasim.Options) { o.Command = []string{filepath.Join(t.TempDir(), "none")} }},
		{name: "it is not tried again", do: "fail", times: 9, want: []lambdasim.Result{failed}, letters: 1,
			change: func(o *lambdasim.Options) { o.Retries = []time.Duration{} }},
		{name: "it is too old for another try", do: "fail", times: 9, want: []lambdasim.Result{failed}, letters: 1,
			change: func(o *lambdasim.Options) { o.MaxAge = time.Nanosecond }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := start(t, tc.change)
			o := order{Do: tc.do, Times: tc.times}
			if tc.times > 0 {
				o.Count = filepath.Join(t.TempDir(), "count")
			}
			play(t, f, o)
			if got := results(f); !slices.Equal(got, tc.want) {
				t.Errorf("the tries %v, want %v: %q", got, tc.want, f.Tries())
			}
			if got := len(f.DeadLetters()); got != tc.letters {
				t.Errorf("%d dead letters, want %d", got, tc.letters)
			}
			ids := map[string]bool{}
			for _, try := range f.Tries() {
				ids[try.Request] = true
			}
			if len(ids) != 1 {
				t.Errorf("the tries have the ids %v, want one", ids)
			}
		})
	}
}

func TestProcessesAreKeptAndBounded(t *testing.T) {
	var log bytes.Buffer
	f := start(t, func(o *lambdasim.Options) { o.Concurrency, o.Log = 2, &log })
	play(t, f, slices.Repeat([]order{{Do: "environment"}}, 20)...)
	apis := map[string]int{}
	for _, try := range f.Tries() {
		var env []string
		if err := json.Unmarshal(try.Answer, &env); err != nil {
			t.Fatal(err)
		}
		for _, v := range env {
			if strings.HasPrefix(v, "AWS_LAMBDA_RUNTIME_API=") {
				apis[v]++
			}
			if strings.HasPrefix(v, "HOME=") {
				t.Errorf("the function sees %s of the test's environment", v)
			}
		}
	}
	if len(apis) < 1 || len(apis) > 2 || len(f.Tries()) != 20 {
		t.Errorf("%d tries in processes %v, want 20 in at most 2", len(f.Tries()), apis)
	}
}

func TestKillOnCommand(t *testing.T) {
	f := start(t, func(o *lambdasim.Options) { o.Timeout = time.Hour })
	count := filepath.Join(t.TempDir(), "count")
	event, _ := json.Marshal(order{Do: "hang", Times: 1, Count: count})
	if err := f.Invoke(event); err != nil {
		t.Fatal(err)
	}
	for { // until the function is at it
		if at, _ := os.ReadFile(count); len(at) > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if n := f.Kill(); n != 1 {
		t.Errorf("%d processes killed, want 1", n)
	}
	wait(t, f)
	if got := results(f); !slices.Equal(got, []lambdasim.Result{lambdasim.Died, lambdasim.Succeeded}) {
		t.Errorf("got %v", got)
	}
}

func TestTheDeadlineIsToldAndTheScheduleInvokes(t *testing.T) {
	f := start(t, func(o *lambdasim.Options) { o.Timeout = time.Hour })
	f.Every(time.Minute, []byte(`{"do":"deadline"}`))
	for len(f.Tries()) < 2 {
		time.Sleep(10 * time.Millisecond)
	}
	try := f.Tries()[0]
	var text string
	if err := json.Unmarshal(try.Answer, &text); err != nil {
		t.Fatal(err)
	}
	var ms int64
	if _, err := fmt.Sscan(text, &ms); err != nil {
		t.Fatal(err)
	}
	if left := time.Until(time.UnixMilli(ms)); left > time.Hour || left < 30*time.Minute {
		t.Errorf("the function was told that it has %s", left)
	}
}

func TestEventsComeByPostAndAreBounded(t *testing.T) {
	f := start(t, nil)
	post := func(method string, body string) int {
		w := httptest.NewRecorder()
		f.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "/", strings.NewReader(body)))
		return w.Code
	}
	for _, tc := range []struct {
		name, method, body string
		want               int
	}{
		{"an event", http.MethodPost, `{}`, http.StatusAccepted},
		{"the largest", http.MethodPost, strings.Repeat(" ", lambdasim.MaxEvent), http.StatusAccepted},
		{"one that is too large", http.MethodPost, strings.Repeat(" ", lambdasim.MaxEvent+1), http.StatusRequestEntityTooLarge},
		{"another method", http.MethodGet, ``, http.StatusMethodNotAllowed},
	} {
		if got := post(tc.method, tc.body); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
	wait(t, f)
	if got := len(f.Tries()); got != 2 {
		t.Errorf("%d tries, want 2", got)
	}
}

func TestMoreThanTheQueueHoldsIsRefused(t *testing.T) {
	f := start(t, func(o *lambdasim.Options) { o.Concurrency, o.Timeout = 1, time.Hour })
	var err error
	n := 0
	for ; err == nil && n <= lambdasim.MaxQueued+1; n++ {
		err = f.Invoke([]byte(`{"do":"hang"}`))
	}
	if err == nil || !strings.HasPrefix(err.Error(), "TooManyRequests") || n < lambdasim.MaxQueued {
		t.Errorf("the event %d: %v", n, err)
	}
}

func TestOptionsThatAreWrong(t *testing.T) {
	for _, o := range []lambdasim.Options{{}, {Command: []string{"x"}, Concurrency: -1}, {Command: []string{"x"}, Speed: -1}} {
		if _, err := lambdasim.New(t.Context(), o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}
