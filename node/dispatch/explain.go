package dispatch

import (
	"fmt"
	"slices"
	"strings"

	"github.com/memring/memring/node/piece"
	"github.com/memring/memring/protocol"
	"github.com/memring/memring/storage"
)

// explain is "explain KEY": where a key lives, and what each of its holders knows of it. Of others, too, as far as they hold its partition or have the item: while
// partitions move, it may be theirs.
//
//	KEY key partition=7 owner=n1 copies=n2
//	HOLDER n1 role=owner partition=held item=yes stored_ago=12 expires_in=never idle=3 bytes=100 flags=0 cas=77 version=77
//	HOLDER n2 role=replica partition=copied item=no why=evicted ago=4
//
// All must be asked: after a move only the holder itself knows that it is one.
func (d *Dispatch) explain(key []byte) []protocol.ReportLine {
	part := d.cfg.Table().Partition(key)
	holders := d.holders(part)
	copies := ""
	owner := "none"
	if len(holders) > 0 {
		owner, copies = holders[0], strings.Join(holders[1:], ",")
	}
	lines := []protocol.ReportLine{{Label: "KEY", Name: string(key), Value: fmt.Sprintf("partition=%d owner=%s copies=%s", part, owner, copies)}}
	said := map[string]string{d.cfg.Self.ID: d.explainHere(key).Value}
	for _, a := range d.ask(d.others(), &protocol.Request{Op: protocol.Explain, Key: key}) {
		switch {
		case a.silent != "":
			said[a.member.ID] = "silent=" + a.silent
		case len(a.report) == 1:
			said[a.member.ID] = a.report[0].Value
		}
	}
	add := func(id, role, value string) {
		lines = append(lines, protocol.ReportLine{Label: "HOLDER", Name: id, Value: "role=" + role + " " + value})
	}
	for i, id := range holders {
		role := "replica"
		if i == 0 {
			role = "owner"
		}
		value, known := said[id]
		if !known {
			value = "silent=down"
		}
		delete(said, id)
		add(id, role, value)
	}
	var rest []string
	for id, value := range said {
		if !strings.HasPrefix(value, elsewhere+" item=no") && !strings.HasPrefix(value, "silent=") {
			rest = append(rest, id)
		}
	}
	slices.Sort(rest)
	for _, id := range rest {
		add(id, "none", said[id])
	}
	return lines
}

// elsewhere is what a member says of a partition that is none of its business.
const elsewhere = "partition=elsewhere"

// explainHere tells what this member knows of a key.
func (d *Dispatch) explainHere(key []byte) protocol.ReportLine {
	part := d.cfg.Table().Partition(key)
	place := elsewhere
	switch d.cfg.Handover.Place(part) {
	case piece.Holder:
		place = "partition=held"
	case piece.Arriving:
		place = "partition=arriving"
	case piece.Leaving:
		place = "partition=leaving"
	case piece.Wanted:
		place = "partition=wanted"
	default:
		switch kept, whole := d.cfg.Replicator.Copy(part); {
		case whole:
			place = "partition=copied"
		case kept:
			place = "partition=copying"
		}
	}
	t := d.cfg.Store.Trace(key)
	return protocol.ReportLine{Label: "HOLDER", Name: d.cfg.Self.ID, Value: place + " " + tell(t, d.cfg.Now())}
}

// tell puts a trace into words. Times are in seconds before, or from, now.
func tell(t storage.Trace, now int64) string {
	if t.Found {
		expires := "never"
		if t.Item.Expiry != 0 {
			expires = fmt.Sprint(t.Item.Expiry - now)
		}
		fetched, marks := "no", ""
		if t.Item.Fetched {
			fetched = "yes"
		}
		if t.Item.Stale {
			marks = " stale=yes"
		}
		return fmt.Sprintf("item=yes stored_ago=%d expires_in=%s idle=%d fetched=%s bytes=%d flags=%d cas=%d version=%d%s",
			now-t.Stored, expires, now-t.Item.LastAccess, fetched, t.ValueBytes, t.Item.Flags, t.Item.CAS, t.Item.Version, marks)
	}
	text := "item=no why=" + whyOf(t.Fate)
	if t.At != 0 {
		text += fmt.Sprintf(" ago=%d", now-t.At)
	}
	switch t.Fate {
	case storage.Unknown, storage.PerhapsEvicted:
		text += fmt.Sprintf(" ends_known_for=%d", now-t.Since)
		if t.Flushed != 0 {
			text += fmt.Sprintf(" flushed_ago=%d", now-t.Flushed)
		}
	case storage.Never:
		text += fmt.Sprintf(" since=%d", now-t.Since)
	}
	return text
}

// whyOf names a fate.
func whyOf(fate storage.Fate) string {
	switch fate {
	case storage.Never:
		return "never_stored"
	case storage.Deleted:
		return "deleted"
	case storage.Expired:
		return "expired"
	case storage.Evicted:
		return "evicted"
	case storage.Refused:
		return "store_refused"
	case storage.Buried:
		return "deleted_or_expired"
	case storage.PerhapsEvicted:
		return "perhaps_evicted"
	default:
		return "not_known"
	}
}
