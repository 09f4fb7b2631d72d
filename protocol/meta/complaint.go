package meta

import "github.com/memring/memring/protocol"

// A complaint is what is wrong with a line. A request that is rejected bears it as its Verb.
type complaint uint8

const (
	none complaint = iota
	badLine
	badToken
	badOpaque
	badKey
	badSetMode
	badCountMode
	badInitial
	badDelta
	duplicateOption
	invalidOption
	invalidOrDuplicateOption
	tooManyOptions

	complaintCount
)

// words are memcached's, after "CLIENT_ERROR ".
var words = [complaintCount]string{
	badLine:                  "bad command line format",
	badToken:                 "bad token in command line format",
	badOpaque:                "opaque token too long",
	badKey:                   "error decoding key",
	badSetMode:               "invalid mode for ms M token",
	badCountMode:             "invalid mode for ma M token",
	badInitial:               "invalid numeric initial value",
	badDelta:                 "invalid numeric delta value",
	duplicateOption:          "duplicate flag",
	invalidOption:            "invalid flag",
	invalidOrDuplicateOption: "invalid or duplicate flag",
	tooManyOptions:           "options flags are too long",
}

// reject makes req a malformed request. It takes its seat in the order all the same.
func reject(req *protocol.Request, c complaint) {
	req.Op, req.Reason, req.Verb, req.Options = protocol.Reject, protocol.ClientError, uint8(c), 0
}

// appendComplaint adds the error line of a rejected request.
func appendComplaint(dst []byte, c complaint) []byte {
	dst = append(dst, "CLIENT_ERROR "...)
	dst = append(dst, words[c]...)
	return append(dst, "\r\n"...)
}
