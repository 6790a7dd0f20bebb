package feed

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"
)

// list lists page by page and reduces each page before it asks for the next:
// memory holds one page, and what is kept of the others. client-go asks for all
// at once where an API server does not stream lists, and holds the answer, and
// what it decodes of it.
func (f *Feed) list(ctx context.Context, source cache.ListerWatcherWithContext, options metav1.ListOptions) (runtime.Object, error) {
	options.ResourceVersion, options.ResourceVersionMatch = "", "" // an API server's cache answers with all at once
	options.Limit = f.Page
	all := &internalversion.List{}
	for {
		page, err := source.ListWithContext(ctx, options)
		if err != nil {
			return nil, err
		}
		if err := meta.EachListItemWithAlloc(page, func(object runtime.Object) error { return f.keep(all, object) }); err != nil {
			return nil, err
		}
		about, err := meta.ListAccessor(page)
		if err != nil {
			return nil, err
		}
		all.ResourceVersion = about.GetResourceVersion()
		if options.Continue = about.GetContinue(); options.Continue == "" {
			return all, nil
		}
	}
}

// keep reduces an object and adds it to a list.
func (f *Feed) keep(all *internalversion.List, object runtime.Object) error {
	reduced, err := f.Transform(object)
	if err != nil {
		return err
	}
	kept, ok := reduced.(runtime.Object)
	if !ok {
		return fmt.Errorf("what is kept of %s is a %T, which is not an object", f.Name, reduced)
	}
	all.Items = append(all.Items, kept)
	return nil
}
