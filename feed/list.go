package feed

import (
	"context"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
)

// Item makes of the JSON of one object what is kept of it. It must not keep the
// text.
type Item func(object []byte) (runtime.Object, error)

// List lists the resource at a path such as /api/v1/namespaces and reduces it
// object by object while the answer arrives: memory holds one object, and what
// is kept of the others. A client that decodes lists as a whole holds all of it
// four times.
func List(ctx context.Context, client rest.Interface, path string, options metav1.ListOptions, item Item) (runtime.Object, error) {
	stream, err := client.Get().AbsPath(path).
		SpecificallyVersionedParams(&options, metav1.ParameterCodec, metav1.SchemeGroupVersion).
		SetHeader("Accept", runtime.ContentTypeJSON).Stream(ctx)
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	list, err := read(stream, item)
	if err != nil {
		return nil, fmt.Errorf("the list of %s: %w", path, err)
	}
	return list, nil
}

// read reads a list of the API.
func read(text io.Reader, item Item) (*internalversion.List, error) {
	// Looking for names that come twice would remember them all.
	d := jsontext.NewDecoder(text, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	list := &internalversion.List{}
	err := members(d, func(name string) error {
		switch name {
		case "metadata":
			var meta struct {
				ResourceVersion string `json:"resourceVersion"`
				Continue        string `json:"continue"`
			}
			err := json.UnmarshalDecode(d, &meta)
			list.ResourceVersion, list.Continue = meta.ResourceVersion, meta.Continue
			return err
		case "items":
			return items(d, item, list)
		default:
			return d.SkipValue()
		}
	})
	return list, err
}

// members calls read at the value of each member of an object.
func members(d *jsontext.Decoder, read func(name string) error) error {
	if token, err := d.ReadToken(); err != nil {
		return err
	} else if token.Kind() != '{' {
		return fmt.Errorf("it is %s and not an object", token.Kind())
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return err
		}
		if err := read(name.String()); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// items reduces the objects of a list, of which there may be none.
func items(d *jsontext.Decoder, item Item, list *internalversion.List) error {
	if d.PeekKind() == 'n' {
		return d.SkipValue()
	}
	if token, err := d.ReadToken(); err != nil {
		return err
	} else if token.Kind() != '[' {
		return fmt.Errorf("its items are %s and not a list", token.Kind())
	}
	for d.PeekKind() != ']' {
		text, err := d.ReadValue()
		if err != nil {
			return err
		}
		object, err := item(text)
		if err != nil {
			return err
		}
		list.Items = append(list.Items, object)
	}
	_, err := d.ReadToken()
	return err
}
