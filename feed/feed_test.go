package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

const page = 3

// things is a feed that keeps the names of objects.
func things(log *slog.Logger) *Feed {
	return New(Resource{
		Object: &metav1.PartialObjectMetadata{}, Name: schema.GroupResource{Group: "example.com", Resource: "things"}, Page: page,
		Reduce: func(object any) (any, error) {
			o, ok := object.(*metav1.PartialObjectMetadata)
			if !ok {
				return nil, fmt.Errorf("a %T", object)
			}
			o.Annotations = nil
			return o, nil
		},
	}, time.Now, log)
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// source is an API server with so many objects, whose watches say what is sent.
type source struct {
	objects int
	asked   []metav1.ListOptions
	events  *watch.FakeWatcher
	fails   error
	cut     string // fails the page that goes on there
}

func (s *source) ListWithContext(_ context.Context, options metav1.ListOptions) (runtime.Object, error) {
	s.asked = append(s.asked, options)
	if s.fails != nil {
		return nil, s.fails
	}
	if s.cut != "" && options.Continue == s.cut {
		return nil, apierrors.NewResourceExpired("too old")
	}
	first := 0
	_, _ = fmt.Sscan(options.Continue, &first) // none: 0
	list := &metav1.PartialObjectMetadataList{}
	list.ResourceVersion = "7"
	for i := first; i < min(s.objects, first+int(options.Limit)); i++ {
		list.Items = append(list.Items, metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint(i), Annotations: map[string]string{"long": "text"}}})
	}
	if next := first + int(options.Limit); next < s.objects {
		list.Continue = fmt.Sprint(next)
	}
	return list, nil
}

func (s *source) WatchWithContext(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	if options.SendInitialEvents != nil {
		return nil, apierrors.NewInvalid(schema.GroupKind{}, "", nil)
	}
	if s.fails != nil {
		return nil, s.fails
	}
	s.events = watch.NewFake()
	context.AfterFunc(ctx, s.events.Stop)
	return s.events, nil
}

var _ cache.ListerWatcherWithContext = (*source)(nil)

func TestListsAreReadPageByPage(t *testing.T) {
	for _, c := range []struct {
		name    string
		objects int
		asked   []string
	}{
		{name: "no objects", asked: []string{""}},
		{name: "less than a page", objects: 2, asked: []string{""}},
		{name: "a page", objects: page, asked: []string{""}},
		{name: "pages", objects: 2*page + 1, asked: []string{"", "3", "6"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &source{objects: c.objects}
			list, err := things(discard()).Follow(s).ListWithContext(t.Context(), metav1.ListOptions{ResourceVersion: "0"})
			if err != nil {
				t.Fatal(err)
			}
			var asked []string
			for _, options := range s.asked {
				if options.Limit != page || options.ResourceVersion != "" {
					t.Errorf("it asked for %+v, which an API server may answer by everything", options)
				}
				asked = append(asked, options.Continue)
			}
			if diff := cmp.Diff(c.asked, asked); diff != "" {
				t.Errorf("pages (-want +got):\n%s", diff)
			}
			objects, err := meta.ExtractList(list)
			if err != nil || len(objects) != c.objects {
				t.Fatalf("%d objects, error %v", len(objects), err)
			}
			for i, object := range objects {
				if o, ok := object.(*metav1.PartialObjectMetadata); !ok || o.Name != fmt.Sprint(i) || o.Annotations != nil {
					t.Errorf("object %d is %+v", i, object)
				}
			}
			if about, err := meta.ListAccessor(list); err != nil || about.GetResourceVersion() != "7" {
				t.Errorf("list %+v, error %v: a watch cannot follow it", list, err)
			}
		})
	}
}

func TestOfAListOnePageIsHeldAtATime(t *testing.T) {
	s := &source{objects: 10 * page}
	f := things(discard())
	reduced := 0
	reduce := f.Reduce
	f.Reduce = func(object any) (any, error) {
		if pages := len(s.asked); reduced/page != pages-1 {
			t.Fatalf("%d pages were asked for when %d objects were reduced", pages, reduced)
		}
		reduced++
		return reduce(object)
	}
	if _, err := f.Follow(s).ListWithContext(t.Context(), metav1.ListOptions{}); err != nil || reduced != s.objects {
		t.Errorf("%d objects, error %v", reduced, err)
	}
}

func TestAListThatEndsEarlyIsNone(t *testing.T) {
	list, err := things(discard()).Follow(&source{objects: 3 * page, cut: "6"}).ListWithContext(t.Context(), metav1.ListOptions{})
	if !apierrors.IsResourceExpired(err) || list != nil {
		t.Errorf("list %+v, error %v", list, err)
	}
}

func TestTheAgeIsThatOfTheLastWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{}
		f := things(discard())
		if _, known := f.Age(); known {
			t.Error("what nobody follows has an age")
		}
		w := f.Follow(s)
		aged := func(what string, want time.Duration) {
			t.Helper()
			synctest.Wait()
			if got, known := f.Age(); !known || got != want {
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
		s.events.Action(watch.Bookmark, &metav1.PartialObjectMetadata{})
		aged("a bookmark", 0)
		s.events.Modify(&metav1.PartialObjectMetadata{})
		aged("a change", 0)
		s.events.Error(&metav1.Status{})
		aged("an error", time.Hour)
	})
}

func TestAWatchThatNobodyEndsIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := things(discard()).Follow(&source{})
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

func TestAnOptionalResourceMayBeMissing(t *testing.T) {
	missing := apierrors.NewNotFound(schema.GroupResource{}, "")
	for _, c := range []struct {
		name     string
		optional bool
		fails    error
		withheld bool
	}{
		{"one that must be there", false, missing, false},
		{"one that need not", true, missing, true},
		{"one that we may not read", true, apierrors.NewForbidden(schema.GroupResource{}, "", nil), true},
		{"one that cannot be read now", true, errors.New("connection refused"), false},
		{"one that is there", true, nil, false},
	} {
		f := things(discard())
		f.Optional = c.optional
		_, _ = f.Follow(&source{fails: c.fails}).ListWithContext(t.Context(), metav1.ListOptions{})
		_, known := f.Age()
		if f.Withheld() != c.withheld || known == c.withheld {
			t.Errorf("%s: withheld %t, age known %t", c.name, f.Withheld(), known)
		}
	}
}

func TestTroubleIsLoggedOnce(t *testing.T) {
	var text strings.Builder
	s := &source{}
	f := things(slog.New(slog.NewTextHandler(&text, nil)))
	w := f.Follow(s)
	streamed := true
	for _, c := range []struct {
		name  string
		fails error
		lines int
	}{
		{name: "it works", lines: 0},
		{name: "it fails", fails: errors.New("connection refused"), lines: 1},
		{name: "it fails again", fails: errors.New("connection refused"), lines: 1},
		{name: "a watch expires", fails: apierrors.NewResourceExpired("too old"), lines: 1},
		{name: "it works again", lines: 2},
	} {
		s.fails = c.fails
		_, _ = w.ListWithContext(t.Context(), metav1.ListOptions{})
		_, _ = w.WatchWithContext(t.Context(), metav1.ListOptions{SendInitialEvents: &streamed}) // which it does not know
		if lines := strings.Count(text.String(), "\n"); lines != c.lines {
			t.Errorf("%s: %d lines, want %d:\n%s", c.name, lines, c.lines, text.String())
		}
	}
}

func TestAFeedThatIsStuckInAnObjectIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		f := things(discard())
		f.Reduce = func(object any) (any, error) {
			<-stuck
			return object, nil
		}
		go func() { _, _ = f.Transform(&metav1.PartialObjectMetadata{}) }()
		time.Sleep(busyLimit)
		synctest.Wait()
		if err := f.Behind(); err != nil {
			t.Errorf("after %s: %v", busyLimit, err)
		}
		time.Sleep(time.Second)
		if err := f.Behind(); err == nil || err.Error() != "things.example.com are behind: one of them has been read for 11s" {
			t.Errorf("error %v", err)
		}
		close(stuck)
		synctest.Wait()
		if err := f.Behind(); err != nil {
			t.Error(err)
		}
	})
}

func TestAgesAreShownOfWhatIsFollowed(t *testing.T) {
	followed, other := things(discard()), things(discard())
	followed.Follow(&source{})
	other.Name.Resource = "others"
	registry := prometheus.NewRegistry()
	registry.MustRegister(Set{followed, other})
	families, err := registry.Gather()
	if err != nil || len(families) != 1 || len(families[0].GetMetric()) != 1 || families[0].GetMetric()[0].GetLabel()[0].GetValue() != "things" {
		t.Errorf("metrics %v, error %v", families, err)
	}
}
