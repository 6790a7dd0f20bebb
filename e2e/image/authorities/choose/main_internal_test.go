package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/testca"
)

func TestChooseWritesNothingOfABundleThatLacksOne(t *testing.T) {
	ca, err := testca.New("Amazon Root CA 1")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = choose(bytes.NewReader(ca.PEM), &out)
	if err == nil || !strings.Contains(err.Error(), "no Amazon Root CA 1 with the key fbe30180") || out.Len() > 0 {
		t.Errorf("error %v, output %q; want an error and no output", err, out.String())
	}
}
