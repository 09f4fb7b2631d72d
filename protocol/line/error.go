package line

import (
	"bytes"

	"github.com/memring/memring/protocol"
)

// AppendError adds the error line for status, in the words of memcached where it has them; clients compare them. message is what a
// ClientError or ServerError says.
func AppendError(dst []byte, status protocol.Status, message []byte) []byte {
	switch status {
	case protocol.UnknownCommand:
		return append(dst, "ERROR\r\n"...)
	case protocol.BadFormat:
		return append(dst, "CLIENT_ERROR bad command line format\r\n"...)
	case protocol.BadChunk:
		return append(dst, "CLIENT_ERROR bad data chunk\r\n"...)
	case protocol.BadExptime:
		return append(dst, "CLIENT_ERROR invalid exptime argument\r\n"...)
	case protocol.BadDelta:
		return append(dst, "CLIENT_ERROR invalid numeric delta argument\r\n"...)
	case protocol.NonNumeric:
		return append(dst, "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"...)
	case protocol.NotAllowed:
		return append(dst, "CLIENT_ERROR flush_all not allowed\r\n"...)
	case protocol.Denied:
		return append(dst, "CLIENT_ERROR permission denied\r\n"...)
	case protocol.TooLarge:
		return append(dst, "SERVER_ERROR object too large for cache\r\n"...)
	case protocol.OutOfMemory:
		return append(dst, "SERVER_ERROR out of memory storing object\r\n"...)
	case protocol.PeerTimeout:
		return append(dst, "SERVER_ERROR peer timeout\r\n"...)
	case protocol.PeerLost:
		return append(dst, "SERVER_ERROR peer unreachable\r\n"...)
	case protocol.PeerOverloaded:
		return append(dst, "SERVER_ERROR peer overloaded\r\n"...)
	case protocol.PeerMoved:
		return append(dst, "SERVER_ERROR partition is moving\r\n"...)
	case protocol.Pipelined:
		return appendMessage(dst, "ERROR cannot pipeline other commands before ", message)
	case protocol.ClientError:
		return appendMessage(dst, "CLIENT_ERROR ", message)
	case protocol.ServerError:
		return appendMessage(dst, "SERVER_ERROR ", message)
	default:
		return append(dst, "SERVER_ERROR no answer\r\n"...) // a handler's mistake, but the client keeps its place
	}
}

// appendMessage keeps the message to one line, whoever wrote it: a second one would be taken for the next answer.
func appendMessage(dst []byte, kind string, message []byte) []byte {
	if end := bytes.IndexAny(message, "\r\n"); end >= 0 {
		message = message[:end]
	}
	dst = append(dst, kind...)
	dst = append(dst, message...)
	return append(dst, "\r\n"...)
}
