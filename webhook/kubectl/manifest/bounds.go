package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
)

// Bounds of what is read. People write files, and programs that mean harm do.
const (
	// MaxBytes is how long the text of one source may be.
	MaxBytes = 128 << 20
	// maxDocuments is how many documents one source may have.
	maxDocuments = 100_000
	// maxAliased is how many bytes the aliases (*name) of one document may stand
	// for. The API server takes no object of that size.
	maxAliased = 16 << 20
	// maxNesting is how deep Lists may lie in Lists.
	maxNesting = 8
)

// checkAliases refuses a document whose aliases stand for too much. YAML
// decoders limit how many nodes aliases may stand for, and not how long these
// are: one long text and ten thousand aliases of it are a bomb.
func checkAliases(text []byte) error {
	if bytes.IndexByte(text, '&') < 0 || bytes.IndexByte(text, '*') < 0 {
		return nil
	}
	document, err := kyaml.Parse(string(text))
	if errors.Is(err, io.EOF) {
		return nil // there are only comments
	}
	if err != nil {
		return err
	}
	w := written{limit: int64(len(text)) + maxAliased, anchored: map[*kyaml.Node]int64{}}
	if w.size(document.YNode()) >= w.limit {
		return fmt.Errorf("the aliases (*name) stand for more than %d MiB; write less in their place", maxAliased>>20)
	}
	return nil
}

// written works out how long nodes are with their aliases written out.
type written struct {
	limit    int64
	anchored map[*kyaml.Node]int64 // what aliases stand for
}

// size is the length of the values of a node and what is in it, or the limit.
func (w written) size(n *kyaml.Node) int64 {
	if n.Kind == kyaml.AliasNode {
		size, known := w.anchored[n.Alias]
		if !known {
			w.anchored[n.Alias] = 0 // one that holds itself is refused by decoders
			size = w.size(n.Alias)
			w.anchored[n.Alias] = size
		}
		return size
	}
	size := int64(len(n.Value)) + 1
	for _, child := range n.Content {
		if size = min(size+w.size(child), w.limit); size == w.limit {
			break
		}
	}
	return size
}
