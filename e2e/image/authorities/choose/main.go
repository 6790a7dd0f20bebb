// Command choose reads a bundle of certificate authorities from standard input,
// and writes those that the image of ipmgr trusts to standard output.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/image/authorities"
)

func main() {
	if err := choose(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "choose:", err)
		os.Exit(1)
	}
}

// choose writes all or nothing.
func choose(from io.Reader, to io.Writer) error {
	bundle, err := io.ReadAll(from)
	if err != nil {
		return err
	}
	chosen, err := authorities.Choose(bundle, authorities.AWS())
	if err != nil {
		return err
	}
	_, err = to.Write(chosen)
	return err
}
