package text

import (
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/protocol/line"
)

// maxPartitionSet is the longest set of partitions: a bit for each of 65,536, four times what a cluster has.
const maxPartitionSet = 8 << 10

// parseInstall reads "KEYBYTES LENGTH [anew]" and a data block of the key and an item: ours, for "memring restore". What is in the item, its key included, is the node's matter.
func (c *Codec) parseInstall(buf, rest []byte, used int, req *protocol.Request) int {
	keyWord, rest := line.Word(rest)
	lengthWord, rest := line.Word(rest)
	how, _ := line.Word(rest)
	length, ok := line.Uint(lengthWord, line.MaxBlockBytes)
	if !ok {
		reject(req, protocol.BadFormat)
		return used
	}
	keyBytes, ok := line.Uint(keyWord, protocol.MaxKeyBytes)
	switch {
	case !ok || keyBytes == 0 || keyBytes >= length || len(how) > 0 && string(how) != "anew":
		return c.refuse(req, protocol.BadFormat, used, int(length))
	case int(length-keyBytes) > c.maxItemBytes: // the item's head is shorter than what is accounted for it, so none that may be stored is refused
		return c.refuse(req, protocol.TooLarge, used, int(length))
	}
	whole, data := c.block(buf, used, int(length), req)
	if data == nil {
		return whole
	}
	if len(how) > 0 {
		req.Options |= protocol.Vivify
	}
	req.Op, req.Key, req.Value = protocol.Install, data[:keyBytes], data[keyBytes:]
	return whole
}

// maxSpan is the longest that an export may look back: a week, in milliseconds.
const maxSpan = 7 * 24 * 3600 * 1000

// parseExport reads "LENGTH [MILLISECONDS]" and a data block of partitions: ours, for "memring backup". A build that does not know of the time passes over it.
func (c *Codec) parseExport(buf, rest []byte, used int, req *protocol.Request) int {
	lengthWord, rest := line.Word(rest)
	spanWord, _ := line.Word(rest)
	length, ok := line.Uint(lengthWord, line.MaxBlockBytes)
	span, timed := line.Uint(spanWord, maxSpan)
	switch {
	case !ok:
		reject(req, protocol.BadFormat)
		return used
	case !timed && len(spanWord) > 0:
		return c.refuse(req, protocol.BadFormat, used, int(length))
	case length > maxPartitionSet:
		return c.refuse(req, protocol.TooLarge, used, int(length))
	}
	whole, data := c.block(buf, used, int(length), req)
	if data != nil {
		req.Op, req.Value, req.Delta = protocol.Export, data, span
	}
	return whole
}

// block gives the data block behind a line that takes used bytes, and where the next request begins; nil if it is not whole yet, or does not end as it should.
func (c *Codec) block(buf []byte, used, length int, req *protocol.Request) (whole int, data []byte) {
	if whole = used + length + line.BlockEnd; len(buf) < whole {
		return -whole, nil
	}
	data, ok := line.Block(buf[used:], length)
	if !ok {
		reject(req, protocol.BadChunk)
		return whole, nil
	}
	return whole, data
}
