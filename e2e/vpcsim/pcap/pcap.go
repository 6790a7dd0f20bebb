// Package pcap writes Ethernet frames in the format that tcpdump and Wireshark
// read, with times in nanoseconds.
package pcap

import (
	"encoding/binary"
	"io"
	"time"
)

const (
	magicNanoseconds = 0xa1b23c4d
	linkEthernet     = 1
	// snapBytes is the most that is kept of one frame.
	snapBytes = 1 << 16
)

// Writer writes one capture. It is not safe for concurrent use.
type Writer struct{ w io.Writer }

// NewWriter starts a capture and writes its header. The error is that of w.
func NewWriter(w io.Writer) (*Writer, error) {
	head := binary.LittleEndian.AppendUint32(nil, magicNanoseconds)
	head = binary.LittleEndian.AppendUint16(head, 2) // version 2.4
	head = binary.LittleEndian.AppendUint16(head, 4)
	head = append(head, make([]byte, 8)...) // times are UTC, of unknown accuracy
	head = binary.LittleEndian.AppendUint32(head, snapBytes)
	head = binary.LittleEndian.AppendUint32(head, linkEthernet)
	if _, err := w.Write(head); err != nil {
		return nil, err
	}
	return &Writer{w: w}, nil
}

// Write adds a frame that was seen at a time. The error is that of the
// underlying writer.
func (w *Writer) Write(at time.Time, frame []byte) error {
	kept := frame[:min(len(frame), snapBytes)]
	record := make([]byte, 0, 16+len(kept))
	record = binary.LittleEndian.AppendUint32(record, uint32(at.Unix()))
	record = binary.LittleEndian.AppendUint32(record, uint32(at.Nanosecond()))
	record = binary.LittleEndian.AppendUint32(record, uint32(len(kept)))
	record = binary.LittleEndian.AppendUint32(record, uint32(len(frame)))
	_, err := w.w.Write(append(record, kept...))
	return err
}
