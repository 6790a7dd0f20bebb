package kubectl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/resource"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/multus-ipmgr/multus-ipmgr/webhook/kubectl/manifest"
)

// downloadTimeout bounds the reading of a URL.
const downloadTimeout = 30 * time.Second

// files are the manifests that a command is given, by kubectl's own flags.
//
// resource.Builder says which files a flag means. It does not read them: it
// hands out objects without their text, so nothing could be written back; it
// does not say which document an object is from; it ends a file at its first
// mistake in YAML without its document; and it sets no bounds on what it reads.
type files struct {
	names     []string
	directory string // of a kustomization
	recursive bool
	namespace string // of objects that do not say theirs
}

func (f *files) declare(cmd *cobra.Command) {
	flags := genericclioptions.FileNameFlags{
		Usage:     "`file`, directory, URL or pattern of manifests, - for standard input; may be repeated",
		Filenames: &f.names, Kustomize: &f.directory, Recursive: &f.recursive,
	}
	flags.AddFlags(cmd.Flags())
	cmd.Flags().StringVarP(&f.namespace, "namespace", "n", "default", "`namespace` of objects that do not say theirs")
}

func (f *files) validate() error {
	switch {
	case f.directory != "" && (len(f.names) > 0 || f.recursive):
		return errors.New("-k cannot be used together with -f or -R")
	case f.directory == "" && len(f.names) == 0:
		return errors.New("no manifests: name a file or directory by -f, or - for standard input")
	}
	return nil
}

// bundle reads all documents and sorts their objects.
func (f *files) bundle(ctx context.Context, in io.Reader) (*bundle, error) {
	documents, err := f.read(ctx, in)
	if err != nil {
		return nil, err
	}
	return newBundle(documents, f.namespace)
}

// read returns all documents in the order of the flags; those of a directory
// in the order of their names.
func (f *files) read(ctx context.Context, in io.Reader) ([]manifest.Document, error) {
	if f.directory != "" {
		return readKustomization(f.directory)
	}
	var all []manifest.Document
	for _, name := range f.names {
		documents, err := f.readName(ctx, name, in)
		if err != nil {
			return nil, err
		}
		all = append(all, documents...)
	}
	return all, nil
}

func (f *files) readName(ctx context.Context, name string, in io.Reader) ([]manifest.Document, error) {
	switch {
	case name == "-":
		return readAll("standard input", in)
	case strings.HasPrefix(name, "http://"), strings.HasPrefix(name, "https://"):
		return download(ctx, name)
	}
	paths, err := f.expand(name)
	if err != nil {
		return nil, fmt.Errorf("reading manifests: %w", err)
	}
	var all []manifest.Document
	for _, path := range paths {
		documents, err := readFile(path)
		if err != nil {
			return nil, err
		}
		all = append(all, documents...)
	}
	return all, nil
}

// expand returns a file, the manifests of a directory, or those that match a
// pattern.
func (f *files) expand(name string) ([]string, error) {
	names := []string{name}
	if _, err := os.Stat(name); err != nil {
		if names, _ = filepath.Glob(name); len(names) == 0 { // a bad pattern is not a file either
			return nil, err
		}
	}
	var paths []string
	for _, name := range names {
		visitors, err := resource.ExpandPathsToFileVisitors(nil, name, f.recursive, resource.FileExtensions, nil)
		if err != nil {
			return nil, err
		}
		for _, visitor := range visitors {
			if file, ok := visitor.(*resource.FileVisitor); ok {
				paths = append(paths, file.Path)
			}
		}
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("%s: no file ends in .yaml, .yml or .json", name)
	}
	return paths, nil
}

func readFile(path string) ([]manifest.Document, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading manifests: %w", err)
	}
	defer file.Close()
	return readAll(path, file)
}

// readAll reads documents, but not much more than manifest.Read takes.
func readAll(source string, from io.Reader) ([]manifest.Document, error) {
	text, err := io.ReadAll(io.LimitReader(from, manifest.MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", source, err)
	}
	return manifest.Read(source, text)
}

func download(ctx context.Context, url string) ([]manifest.Document, error) {
	ctx, cancel := context.WithTimeout(ctx, downloadTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("reading manifests: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("reading manifests: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("reading %s: the server answers %s", url, response.Status)
	}
	return readAll(url, response.Body)
}

// readKustomization builds a kustomization as "kubectl kustomize" does.
func readKustomization(directory string) ([]manifest.Document, error) {
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionLegacy
	resources, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), directory)
	if err != nil {
		return nil, fmt.Errorf("building the kustomization: %w", err)
	}
	text, err := resources.AsYaml()
	if err != nil {
		return nil, fmt.Errorf("building the kustomization: %w", err)
	}
	return manifest.Read("kustomization "+directory, text)
}
