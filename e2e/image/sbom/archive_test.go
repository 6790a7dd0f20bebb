package sbom_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/image/oci"
	"github.com/multus-ipmgr/multus-ipmgr/e2e/image/sbom"
)

func TestBillOfAnArchiveNamesProgramsAndSharedModulesOnce(t *testing.T) {
	program := image(t).Files[1].Content
	files := []oci.File{
		{Path: "LICENSE", Mode: 0o644, Content: []byte("Apache")},
		{Path: "one", Mode: 0o755, Content: program},
		{Path: "two", Mode: 0o755, Content: program},
	}
	document, err := sbom.Archive("all.tar.gz", "v1.2.3", time.Unix(1_700_000_000, 0), files)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, c := range *document.Components {
		count[string(c.Type)+" "+c.Name]++
	}
	for _, want := range []string{"file /LICENSE", "application /one", "application /two", "library stdlib"} {
		if count[want] != 1 {
			t.Errorf("%d components %q, want one", count[want], want)
		}
	}
	again, err := sbom.Archive("all.tar.gz", "v1.2.3", time.Unix(1_700_000_000, 0), slices.Clone(files))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(document, again); diff != "" {
		t.Errorf("the same files give another document:\n%s", diff)
	}
}

func TestBillOfAnArchiveRefusesAProgramThatIsNotOfGo(t *testing.T) {
	_, err := sbom.Archive("a", "v1", time.Unix(0, 0), []oci.File{{Path: "script", Mode: 0o755, Content: []byte("#!/bin/sh")}})
	if err == nil {
		t.Error("no error")
	}
}
