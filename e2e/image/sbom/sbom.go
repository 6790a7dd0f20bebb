// Package sbom writes the bill of materials of an image as CycloneDX 1.6 JSON
// (cyclonedx.org/docs/1.6/json).
//
// It is made of what is in the image, not of what should be: the modules are
// those that the Go linker wrote into the program. The same image gives the
// same document.
package sbom

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/image/oci"
)

// Document is a bill of materials.
type Document struct {
	Schema       string       `json:"$schema"`
	Format       string       `json:"bomFormat"`
	SpecVersion  string       `json:"specVersion"`
	SerialNumber string       `json:"serialNumber"`
	Version      int          `json:"version"`
	Metadata     Metadata     `json:"metadata"`
	Components   []Component  `json:"components"`
	Dependencies []Dependency `json:"dependencies"`
}

// Metadata says what the document is about.
type Metadata struct {
	Timestamp string    `json:"timestamp"`
	Component Component `json:"component"`
}

// Component is an image, a program, a module or a file.
type Component struct {
	Type       string     `json:"type"`
	Ref        string     `json:"bom-ref"`
	Name       string     `json:"name"`
	Version    string     `json:"version,omitempty"`
	Hashes     []Hash     `json:"hashes,omitempty"`
	PURL       string     `json:"purl,omitempty"`
	Properties []Property `json:"properties,omitempty"`
}

// Hash is a checksum in hexadecimal digits.
type Hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

// Property is what CycloneDX has no field for.
type Property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Dependency says what a component is made of.
type Dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn"`
}

// Describe returns the bill of materials of an image whose program, at the
// root, has the image's name.
func Describe(name string, image *oci.Image) (*Document, error) {
	program, err := image.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := buildinfo.Read(bytes.NewReader(program.Content))
	if err != nil {
		return nil, fmt.Errorf("/%s: %w", name, err)
	}
	whole := container(name, image)
	main := file("application", program)
	main.Version = whole.Version
	libraries := modules(info)
	d := &Document{
		Schema: "http://cyclonedx.org/schema/bom-1.6.schema.json", Format: "CycloneDX", SpecVersion: "1.6",
		SerialNumber: serial(image.Digest), Version: 1,
		Metadata:   Metadata{Timestamp: image.Config.Created.UTC().Format(time.RFC3339), Component: whole},
		Components: append([]Component{main}, libraries...),
	}
	parts := []string{main.Ref}
	for _, f := range image.Files {
		if f.Mode.IsRegular() && f.Path != name {
			d.Components = append(d.Components, file("file", f))
			parts = append(parts, d.Components[len(d.Components)-1].Ref)
		}
	}
	d.Dependencies = []Dependency{{Ref: whole.Ref, DependsOn: parts}, {Ref: main.Ref, DependsOn: refs(libraries)}}
	return d, nil
}

// JSON returns the document as it is published.
func (d *Document) JSON() ([]byte, error) {
	data, err := json.MarshalIndent(d, "", "  ")
	return append(data, '\n'), err
}

func container(name string, image *oci.Image) Component {
	purl := "pkg:oci/" + name + "@" + url.QueryEscape(image.Digest) + "?arch=" + image.Config.Architecture
	return Component{
		Type: "container", Ref: purl, Name: name, PURL: purl,
		Version: image.Config.Config.Labels["org.opencontainers.image.version"],
		Hashes:  []Hash{{"SHA-256", strings.TrimPrefix(image.Digest, "sha256:")}},
	}
}

func file(kind string, f oci.File) Component {
	sum := sha256.Sum256(f.Content)
	return Component{
		Type: kind, Ref: "file:/" + f.Path, Name: "/" + f.Path,
		Hashes: []Hash{{"SHA-256", hex.EncodeToString(sum[:])}},
	}
}

// modules lists the standard library and every module linked.
func modules(info *debug.BuildInfo) []Component {
	list := []Component{module("stdlib", strings.TrimPrefix(info.GoVersion, "go"), "")}
	for _, dependency := range info.Deps {
		if dependency.Replace != nil {
			dependency = dependency.Replace
		}
		list = append(list, module(dependency.Path, dependency.Version, dependency.Sum))
	}
	return list
}

func module(name, version, sum string) Component {
	segments := strings.Split(path.Clean(name), "/")
	for i, segment := range segments {
		segments[i] = url.PathEscape(segment)
	}
	purl := "pkg:golang/" + strings.Join(segments, "/") + "@" + url.QueryEscape(version)
	c := Component{Type: "library", Ref: purl, Name: name, Version: version, PURL: purl}
	if sum != "" {
		c.Properties = []Property{{"golang:h1", sum}}
	}
	return c
}

func refs(components []Component) []string {
	names := make([]string, 0, len(components))
	for _, c := range components {
		names = append(names, c.Ref)
	}
	slices.Sort(names)
	return names
}

// serial makes the document's UUID (RFC 9562, version 8) of the image's digest.
func serial(digest string) string {
	id := sha256.Sum256([]byte(digest))
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", id[0:4], id[4:6], id[6:8], id[8:10], id[10:16])
}

// Modules counts the Go modules, the standard library among them.
func (d *Document) Modules() int {
	count := 0
	for _, c := range d.Components {
		if c.Type == "library" {
			count++
		}
	}
	return count
}
