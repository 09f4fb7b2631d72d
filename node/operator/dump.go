package operator

import (
	"encoding/base64"
	"slices"
	"strconv"
	"time"

	"github.com/memring/memring/protocol"
)

// An Item is what a dump tells of one. Key is good until what it is given to returns.
type Item struct {
	Key        []byte
	Flags      uint32
	Expiry     int64 // the Unix second; 0: never
	LastAccess int64
	CAS        uint64
	Fetched    bool
	ValueBytes int
}

// A dump is one of the ways to list all items.
type dump struct {
	name    string // in the error of who is too late
	subject string // in the error of who may not
	write   func(dst []byte, item Item) []byte
	end     string
}

// dump begins to list the items of the node's own partitions: a dump of every node lists each key of the cluster once.
func (o *Operator) dump(d dump, classes string, resp *protocol.Response) {
	listed, fine := ours(classes)
	switch {
	case !o.cfg.Crawling():
		answer(resp, noCrawler)
	case o.cfg.NoDump:
		answer(resp, "ERROR "+d.subject+" not allowed")
	case !fine:
		answer(resp, badClass)
	case !listed:
		answer(resp, "OK\r\n"+d.end[:len(d.end)-len("\r\n")])
	default:
		answer(resp, d.name)
		resp.Stream = o.cfg.Dump(d.write, d.end)
	}
}

// export begins to give the items of partitions whose items are all here, for a backup.
func (o *Operator) export(req *protocol.Request, resp *protocol.Response) {
	if o.cfg.NoDump {
		answer(resp, "ERROR export not allowed")
		return
	}
	stream, ok := o.cfg.Export(req.Value, time.Duration(req.Delta)*time.Millisecond)
	if !ok {
		resp.Status = protocol.BadFormat
		return
	}
	answer(resp, "export")
	resp.Stream = stream
}

// writeMeta is a line of "lru_crawler metadump"; its end is a bare LF, as in memcached.
func writeMeta(dst []byte, item Item) []byte {
	dst = append(dst, "key="...)
	dst = appendEscaped(dst, item.Key)
	dst = append(dst, " exp="...)
	if item.Expiry == 0 {
		dst = append(dst, "-1"...)
	} else {
		dst = strconv.AppendInt(dst, item.Expiry, 10)
	}
	dst = append(dst, " la="...)
	dst = strconv.AppendInt(dst, item.LastAccess, 10)
	dst = append(dst, " cas="...)
	dst = strconv.AppendUint(dst, item.CAS, 10)
	dst = append(dst, " fetch="...)
	if item.Fetched {
		dst = append(dst, "yes"...)
	} else {
		dst = append(dst, "no"...)
	}
	dst = append(dst, " cls=1 size="...)
	dst = strconv.AppendInt(dst, int64(protocol.ItemBytes(len(item.Key), item.Flags, item.ValueBytes)), 10)
	dst = append(dst, " flags="...)
	dst = strconv.AppendUint(dst, uint64(item.Flags), 10)
	return append(dst, " \n"...)
}

// writeGet is a line of "lru_crawler mgdump": the command that gets the item. A key that no line can bear is given in base64.
func writeGet(dst []byte, item Item) []byte {
	dst = append(dst, "mg "...)
	if slices.ContainsFunc(item.Key, breaksLine) {
		dst = base64.StdEncoding.AppendEncode(dst, item.Key)
		return append(dst, " b\r\n"...)
	}
	dst = append(dst, item.Key...)
	return append(dst, "\r\n"...)
}

// appendEscaped adds a key in which all but letters, digits and -._~ stands as %XX (RFC 3986, "Percent-Encoding").
func appendEscaped(dst, key []byte) []byte {
	const hex = "0123456789ABCDEF"
	for _, c := range key {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_', c == '~':
			dst = append(dst, c)
		default:
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		}
	}
	return dst
}
