package pcap_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/multus-ipmgr/multus-ipmgr/e2e/vpcsim/pcap"
)

func TestACaptureIsTheBytesThatTcpdumpReads(t *testing.T) {
	var out bytes.Buffer
	w, err := pcap.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	for i, frame := range []string{"\x01\x02\x03", ""} {
		if err := w.Write(time.Unix(1_700_000_000+int64(i), 5), []byte(frame)); err != nil {
			t.Fatal(err)
		}
	}
	want := "" +
		"4d3cb2a1" + "0200" + "0400" + "00000000" + "00000000" + "00000100" + "01000000" +
		"00f15365" + "05000000" + "03000000" + "03000000" + "010203" +
		"01f15365" + "05000000" + "00000000" + "00000000"
	if diff := cmp.Diff(want, hex.EncodeToString(out.Bytes())); diff != "" {
		t.Errorf("capture (-want +got):\n%s", diff)
	}
}

func TestAFrameAboveTheSnapLengthKeepsItsSize(t *testing.T) {
	var out bytes.Buffer
	w, err := pcap.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(time.Unix(0, 0), make([]byte, 70_000)); err != nil {
		t.Fatal(err)
	}
	want := "00000100" + "70110100" // 65536 of 70000 bytes
	if got := hex.EncodeToString(out.Bytes()[32:40]); got != want || out.Len() != 24+16+65536 {
		t.Errorf("kept and original length %s in %d bytes, want %s", got, out.Len(), want)
	}
}

// full is a writer that takes a number of bytes and then fails.
type full struct{ room int }

func (f *full) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}

func TestAWriterThatFailsIsReported(t *testing.T) {
	if _, err := pcap.NewWriter(&full{}); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("header: %v", err)
	}
	w, err := pcap.NewWriter(&full{room: 24})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(time.Unix(0, 0), nil); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("frame: %v", err)
	}
}
