package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// kept is what tests keep of an object: its name.
type kept struct {
	runtime.Object
	name string
}

func keep(text []byte) (runtime.Object, error) {
	var object struct {
		Metadata struct{ Name string } `json:"metadata"`
	}
	err := json.Unmarshal(text, &object)
	return kept{name: object.Metadata.Name}, err
}

func TestListsAreRead(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
		version    string
		next       string
		wrong      string
	}{
		{name: "two objects", text: `{"kind":"List","metadata":{"resourceVersion":"7","continue":"c","x":[1]},"items":[{"metadata":{"name":"a"}},{"metadata":{"name":"b"}}]}`, want: []string{"a", "b"}, version: "7", next: "c"},
		{name: "members in another order", text: `{"items":[{"metadata":{"name":"a"}}],"metadata":{"resourceVersion":"7"}}`, want: []string{"a"}, version: "7"},
		{name: "none", text: `{"metadata":{"resourceVersion":"7"},"items":[]}`, version: "7"},
		{name: "null", text: `{"metadata":{"resourceVersion":"7"},"items":null}`, version: "7"},
		{name: "an answer that ends early", text: `{"items":[{"metadata":{"name":"a"}},`, wrong: "unexpected EOF"},
		{name: "nothing", text: ``, wrong: "EOF"},
		{name: "no object", text: `[]`, wrong: "not an object"},
		{name: "items that are no list", text: `{"items":{}}`, wrong: "not a list"},
		{name: "an object that cannot be read", text: `{"items":[7]}`, wrong: "cannot unmarshal"},
	} {
		t.Run(c.name, func(t *testing.T) {
			list, err := read(strings.NewReader(c.text), keep)
			if c.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), c.wrong) {
					t.Errorf("error %v, want one with %q", err, c.wrong)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, item := range list.Items {
				object, ok := item.(kept)
				if !ok {
					t.Fatalf("an item is a %T", item)
				}
				got = append(got, object.name)
			}
			if !slices.Equal(got, c.want) || list.ResourceVersion != c.version || list.Continue != c.next {
				t.Errorf("%q at %s, next %q", got, list.ResourceVersion, list.Continue)
			}
		})
	}
}

// text is a list of objects that comes as it is read.
type text struct {
	rest  []string
	given int
}

func (x *text) Read(p []byte) (int, error) {
	for len(x.rest) > 0 && x.rest[0] == "" {
		x.rest = x.rest[1:]
	}
	if len(x.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, x.rest[0])
	x.rest[0] = x.rest[0][n:]
	x.given += n
	return n, nil
}

func TestOfAListOneObjectIsHeldAtATime(t *testing.T) {
	const size, objects = 1_200_000, 40
	x := &text{rest: []string{`{"items":[`}}
	for i := range objects {
		x.rest = append(x.rest, fmt.Sprintf(`{"metadata":{"name":"n%d"},"spec":{"config":"`, i), strings.Repeat("x", size), `"}},`)
	}
	x.rest[len(x.rest)-1] = `"}}]}`
	seen := 0
	list, err := read(x, func(object []byte) (runtime.Object, error) {
		seen++
		if ahead := x.given - seen*size; ahead > 3*size {
			t.Fatalf("at object %d, %d bytes have been read ahead", seen, ahead)
		}
		return keep(object)
	})
	if err != nil || len(list.Items) != objects {
		t.Errorf("%d objects, error %v", len(list.Items), err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(`{"metadata":{"resourceVersion":"7"},"items":[{"metadata":{"name":"a"}}]}`)
	f.Add(`{"items":null}`)
	f.Fuzz(func(t *testing.T, text string) {
		var strict struct {
			Items []json.RawMessage `json:"items"`
		}
		list, err := read(strings.NewReader(text), func([]byte) (runtime.Object, error) { return kept{}, nil })
		if err == nil && json.Unmarshal([]byte(text), &strict) == nil && strings.Count(text, "tems") == 1 && strings.Contains(text, `"items"`) && len(list.Items) != len(strict.Items) {
			t.Errorf("%d items, want %d", len(list.Items), len(strict.Items))
		}
	})
}

// source is an API server whose watches say what is sent.
type source struct {
	events *watch.FakeWatcher
	fails  error
}

func (s *source) ListWithContext(context.Context, metav1.ListOptions) (runtime.Object, error) {
	return &unstructured.UnstructuredList{}, s.fails
}

func (s *source) WatchWithContext(ctx context.Context, _ metav1.ListOptions) (watch.Interface, error) {
	if s.fails != nil {
		return nil, s.fails
	}
	s.events = watch.NewFake()
	context.AfterFunc(ctx, s.events.Stop)
	return s.events, nil
}

var _ cache.ListerWatcherWithContext = (*source)(nil)

func TestTheAgeIsThatOfTheLastWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		f := New(time.Now)
		w := f.Follow(s)
		aged := func(what string, want time.Duration) {
			t.Helper()
			synctest.Wait()
			if got := f.Age(); got != want {
				t.Errorf("%s: age %s, want %s", what, got, want)
			}
			time.Sleep(time.Hour)
		}
		aged("at the start", 0)
		s.fails = errors.New("connection refused")
		_, _ = w.ListWithContext(t.Context(), metav1.ListOptions{})
		_, _ = w.WatchWithContext(t.Context(), metav1.ListOptions{})
		aged("nothing can be read", time.Hour)
		s.fails = nil
		_, _ = w.ListWithContext(t.Context(), metav1.ListOptions{})
		aged("a list", 0)
		events, err := w.WatchWithContext(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer events.Stop()
		aged("a watch begins", 0)
		aged("it says nothing", time.Hour)
		go func() {
			for range events.ResultChan() {
			}
		}()
		s.events.Action(watch.Bookmark, &unstructured.Unstructured{})
		aged("a bookmark", 0)
		s.events.Modify(&unstructured.Unstructured{})
		aged("a change", 0)
		s.events.Error(&metav1.Status{})
		aged("an error", time.Hour)
	})
}

func TestAWatchThatNobodyEndsIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(time.Now).Follow(&source{})
		seconds := int64(300)
		events, err := w.WatchWithContext(t.Context(), metav1.ListOptions{TimeoutSeconds: &seconds})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, open := <-events.ResultChan(); open {
			t.Error("it said something")
		}
		if took := time.Since(began); took != 300*time.Second+grace {
			t.Errorf("it ended after %s", took)
		}
	})
}
