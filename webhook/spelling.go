package webhook

import (
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/inject"
)

// Log lines about namespaces with misspelt keys: so many at once, and then one in
// that time. There may be as many as there are namespaces.
const (
	spellingBurst = 50
	spellingEvery = 10 * time.Second
)

// spelling looks for misspelt keys of ours on namespaces. Where the label that
// opts a namespace in is misspelt, the API server sends us nothing of it: its pods
// run without the IP manager, and nobody else would say so.
type spelling struct {
	log   *slog.Logger
	lines *rate.Limiter

	omitted int // namespaces without a line since the last one; only the handler knows it
	count   atomic.Int64
}

func newSpelling(log *slog.Logger) *spelling {
	return &spelling{log: log, lines: rate.NewLimiter(rate.Every(spellingEvery), spellingBurst)}
}

// misspelt is how many namespaces have misspelt keys.
func (s *spelling) misspelt() int { return int(s.count.Load()) }

// handler follows the cache of namespaces.
func (s *spelling) handler() toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { s.change(nil, object) },
		UpdateFunc: s.change,
		DeleteFunc: func(object any) {
			if last, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
				object = last.Obj
			}
			s.change(object, nil)
		},
	}
}

// change takes a namespace as it was and as it is; nil when it was not there, or
// is gone.
func (s *spelling) change(before, after any) {
	was, is := mistakesOf(before), mistakesOf(after)
	s.count.Add(int64(min(len(is), 1) - min(len(was), 1)))
	o, ok := after.(*metav1.PartialObjectMetadata)
	switch {
	case !ok || len(is) == 0 || slices.Equal(was, is):
	case !s.lines.Allow():
		s.omitted++
	default:
		s.log.Warn("namespace has misspelt keys", keyNamespace, o.Name, keyFindings, is, keyOmitted, s.omitted)
		s.omitted = 0
	}
}

// mistakesOf says what is misspelt on a namespace that is cached.
func mistakesOf(object any) []string {
	o, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		return nil
	}
	var texts []string
	for _, m := range inject.KeyMistakes(inject.KindNamespace, o.Labels, o.Annotations) {
		texts = append(texts, m.Message)
	}
	return texts
}
