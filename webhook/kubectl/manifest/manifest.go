// Package manifest reads Kubernetes manifests as people keep them (YAML with
// several documents, streams of JSON, Lists) and changes them in place: what
// is not changed keeps its order, its comments and its bytes.
//
// It is pure: it knows no files and no cluster, and nothing of what the
// objects mean.
//
// Nodes, their comments and their style are kustomize's kyaml's to keep. Its
// reader and writer of whole files (kio) are not used: they write every
// document anew, also those that nobody changed, drop empty annotations, and
// read the first of several JSON objects only.
package manifest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// Document is one document of a file.
type Document struct {
	// Source says where it is from: "pods.yaml", or "pods.yaml, document 2".
	Source string
	// File is the source without the document's number.
	File string
	// Text is what was read, without the line that separates documents.
	Text []byte
	// JSON is its content. It is null when there are only comments.
	JSON json.RawMessage
	// IsJSON reports whether the text is JSON, and not only YAML.
	IsJSON bool
}

// Read splits text into its documents. Errors name the document.
func Read(source string, text []byte) ([]Document, error) {
	if len(text) > MaxBytes {
		return nil, fmt.Errorf("%s: is longer than %d MiB; split it", source, MaxBytes>>20)
	}
	documents, err := readJSON(text)
	if errors.Is(err, errNotJSON) {
		documents, err = readYAML(text)
	}
	for i := range documents {
		documents[i].Source, documents[i].File = source, source
		if len(documents) > 1 {
			documents[i].Source = fmt.Sprintf("%s, document %d", source, i+1)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s, document %d: %w", source, len(documents)+1, err)
	}
	return documents, nil
}

var (
	errTooMany = fmt.Errorf("there are more than %d documents; split the file", maxDocuments)
	errNotJSON = errors.New("is not JSON")
)

// readJSON reads a stream of JSON objects. It fails with errNotJSON if the text
// may be YAML, which JSON objects between separators are. Otherwise it returns
// the documents before the first mistake, too: YAML would be silent about what
// follows an object.
func readJSON(text []byte) ([]Document, error) {
	var documents []Document
	decoder := json.NewDecoder(bytes.NewReader(text))
	for {
		rest := bytes.TrimSpace(text[decoder.InputOffset():])
		var raw json.RawMessage
		err := decoder.Decode(&raw)
		switch {
		case len(documents) == 0 && (err != nil || raw[0] != '{'), bytes.HasPrefix(rest, []byte("---")), bytes.HasPrefix(rest, []byte("#")):
			return nil, errNotJSON
		case errors.Is(err, io.EOF):
			return documents, nil
		case err == nil && raw[0] != '{':
			err = errors.New("is not a JSON object")
		case len(documents) == maxDocuments:
			err = errTooMany
		}
		if err != nil {
			return documents, err
		}
		documents = append(documents, Document{Text: raw, JSON: raw, IsJSON: true})
	}
}

// readYAML returns the documents before the first mistake, too.
func readYAML(text []byte) ([]Document, error) {
	var documents []Document
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		part, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			return documents, err
		}
		if _, rest, ok := bytes.Cut(part, []byte("\n")); ok && bytes.HasPrefix(part, []byte("---")) {
			part = rest // the reader leaves the separator of the first document
		}
		if len(documents) == maxDocuments {
			return documents, errTooMany
		}
		if err := checkAliases(part); err != nil {
			return documents, err
		}
		content, err := yaml.YAMLToJSON(part)
		if err != nil {
			return documents, err
		}
		documents = append(documents, Document{Text: bytes.Clone(part), JSON: content})
	}
}

// Write joins documents into one file.
func Write(w io.Writer, documents []Document) error {
	var previous bool
	for _, d := range documents {
		text := bytes.TrimSpace(d.Text)
		if len(text) == 0 {
			continue
		}
		separator := ""
		if previous && !d.IsJSON {
			separator = "---\n"
		}
		previous = true
		if _, err := fmt.Fprintf(w, "%s%s\n", separator, text); err != nil {
			return err
		}
	}
	return nil
}
