package operator

import (
	"slices"
	"strconv"

	"github.com/memring/memring/protocol"
)

// stats gives the group that was asked for. memcached asks for no more than the beginning of some names, in this order; the others are told whole.
func (o *Operator) stats(said []string, resp *protocol.Response) {
	resp.Status = protocol.OK
	group := ""
	if len(said) > 0 {
		group = said[0]
	}
	switch {
	case group == "":
	case means(group, "detail"):
		o.detail(said[1:], resp)
		return
	case means(group, "settings"):
		group = "settings"
	case means(group, "cachedump"):
		o.cachedump(said[1:], resp)
		return
	case means(group, "conns"):
		group = "conns"
	case group == "hotkeys" && o.cfg.NoDump:
		answer(resp, "CLIENT_ERROR stats hotkeys not allowed")
		return
	}
	lines, known := o.cfg.Stats(group)
	if resp.Report = lines; !known {
		resp.Status = protocol.UnknownCommand
	}
}

// detail is "stats detail on|off|dump": what is asked for by the prefix of keys.
func (o *Operator) detail(said []string, resp *protocol.Response) {
	switch {
	case o.cfg.NoDump:
		answer(resp, "CLIENT_ERROR stats detail not allowed")
	case len(said) > 0 && means(said[0], "on"):
		o.cfg.SetDetail(true)
		answer(resp, ok)
	case len(said) > 0 && means(said[0], "off"):
		o.cfg.SetDetail(false)
		answer(resp, ok)
	case len(said) > 0 && means(said[0], "dump"):
		resp.Report = o.cfg.Detail()
	default:
		answer(resp, "CLIENT_ERROR usage: stats detail on|off|dump")
	}
}

// maxCachedump bounds the memory of one answer, as memcached does.
const maxCachedump = 2 << 20

// cachedump is "stats cachedump CLASS LIMIT": some items, in no order. Keys of bytes that would break the line are left out.
func (o *Operator) cachedump(said []string, resp *protocol.Response) {
	switch {
	case o.cfg.NoDump:
		answer(resp, "CLIENT_ERROR stats cachedump not allowed")
		return
	case len(said) < 2:
		answer(resp, "CLIENT_ERROR bad command line")
		return
	}
	class, classOK := number(said[0])
	limit, limitOK := number(said[1])
	switch {
	case !classOK || !limitOK:
		answer(resp, badFormat)
	case class > maxClass:
		answer(resp, "CLIENT_ERROR Illegal slab id")
	case class == 1:
		for _, item := range o.cfg.Some(int(limit), maxCachedump) {
			if slices.ContainsFunc(item.Key, breaksLine) {
				continue
			}
			value := "[" + strconv.Itoa(item.ValueBytes) + " b; " + strconv.FormatInt(item.Expiry, 10) + " s]"
			resp.Report = append(resp.Report, protocol.ReportLine{Label: "ITEM", Name: string(item.Key), Value: value})
		}
	}
}

func breaksLine(c byte) bool { return c == ' ' || c == '\r' || c == '\n' || c == 0 }
