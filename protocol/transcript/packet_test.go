package transcript

import (
	"bytes"
	"strings"
	"testing"
)

// packets answers each packet with the same one as an answer, but a get with a miss, a getq with nothing, a set with CAS unique 258 and a line
// with a line; quit ends.
type packets struct{ ended bool }

func (s *packets) answer(in []byte) (answers []byte, used int) {
	for !s.ended {
		if end := bytes.IndexByte(in[used:], '\n'); len(in) > used && in[used] != requestMagic {
			if end < 0 {
				return answers, used
			}
			answers, used = append(answers, "ERROR\r\n"...), used+end+1
			continue
		}
		whole, _ := cutPacket(in[used:])
		if whole == nil {
			return answers, used
		}
		used += len(whole)
		answer := bytes.Clone(whole)
		answer[0] = answerMagic
		switch whole[1] {
		case verbs["get"]:
			answer = append(answer[:headBytes:headBytes], "Not found"...)
			answer[3], answer[7], answer[11] = 0, 1, 9
		case verbs["set"]:
			answer[22], answer[23] = 1, 2
		case verbs["getq"]:
			continue
		case verbs["quit"]:
			s.ended = true
		}
		answers = append(answers, answer...)
	}
	return answers, used
}

func TestPlayPackets(t *testing.T) {
	f := func(source, wantErr string) {
		t.Helper()
		for _, cut := range []int{0, 1, 5} {
			err := one(t, source).Play(func() (Conn, error) {
				s := &packets{}
				return Alone(s.answer, func() bool { return s.ended }), nil
			}, Options{Version: "v1", Cut: cut})
			if err == nil && wantErr != "" || err != nil && (wantErr == "" || !strings.Contains(err.Error(), wantErr)) {
				t.Errorf("%q: %v, want %q", source, err, wantErr)
			}
		}
	}
	f("=> noop\n<= noop", "")
	f("=> 0a\n<= noop", "")
	f("=> get key=k\n<= get status=0001 value=Not found", "")
	f("=> get key=k\n<= get status=0001 value={*}", "")
	f("=> get key=k opaque=a\n<= get status=1 opaque=a value={*}", "")
	f("=> add key=k extras=00000001,00000002 value=a\\nb c\n<= add extras=0000000100000002 key=k value=a\\nb c", "")
	f("=> set key=k value=v\n<= set key=k cas=unique value=v\n=> add cas=unique\n<= add cas=258\n=> set\n<= set cas=unique", "")
	f("=> add cas=18446744073709551615\n<= add cas=18446744073709551615", "")
	f("=> getq key=k\n=> noop\n<= noop", "")
	f("=> quit\n<= quit\nhangup", "")
	f("=> get key=k\n<= get\n@v1: because\n@v1<= get status=0001 value=Not found", "")
	f("=> noop type=5 reserved=abcd\n<= noop type=5 status=abcd", "")
	f("=> noop\n> text\n<= noop\n< ERROR\n=> quit\n<= quit\nhangup", "")

	f("=> get key=k\n<= get status=0002 value=Not found", `want <= get status=0002 value=Not found, got <= 00 status=0001 opaque=01020304 cas=0 extras= key="" value="Not found"`)
	f("=> get key=k\n<= get status=0001 value=Not", "want <=")
	f("=> get key=k\n<= get status=0001", "want <=")
	f("=> get key=k opaque=a\n<= get status=1 opaque=b value={*}", "want <=")
	f("=> noop\n<= noop cas=unique", "want <=")
	f("=> noop cas=7\n<= noop", "want <=")
	f("=> set\n<= set cas=a\n=> add cas=257\n<= add cas=a", "want <=")
	f("=> add cas=unknown\n<= add", "nothing of that name has been heard")
	f("=> getq key=k\n<= getq", `got ""`)
	f("=> getq key=k\n<= getq", "i/o timeout")
	f("=> noop\n> text\n<= noop\n<= noop", `got "ERROR\r\n"`)
	f("=> noop\n=> noop\n<= noop", "at the end, connection 1: want <= noop opaque=7fffffff, got <= 0a status=0000 opaque=01020304")
}

func TestPacketsThatLie(t *testing.T) {
	f := func(source, want string) {
		t.Helper()
		p, err := parsePacket(requestMagic, source)
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.fill(map[string]string{"c": "7"})
		if err != nil || string(got) != want {
			t.Errorf("%q: %q, %v, want %q", source, got, err, want)
		}
	}
	const opaque = "\x01\x02\x03\x04"
	f("get key=k", "\x80\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01"+opaque+"\x00\x00\x00\x00\x00\x00\x00\x00k")
	f("set extras=01,02 key=k cas=c value=v", "\x80\x01\x00\x01\x02\x00\x00\x00\x00\x00\x00\x04"+opaque+"\x00\x00\x00\x00\x00\x00\x00\x07\x01\x02kv")
	f("get key=k magic=81 keylen=1234 extlen=56 bodylen=789abcde", "\x81\x00\x12\x34\x56\x00\x00\x00\x78\x9a\xbc\xde"+opaque+"\x00\x00\x00\x00\x00\x00\x00\x00k")
}

func TestPacketsThatMeanNothing(t *testing.T) {
	f := func(source, wantErr string) {
		t.Helper()
		if _, err := parse("file.txt", "== a\n=> "+source); err == nil || !strings.Contains(err.Error(), wantErr) {
			t.Errorf("%q: %v, want %q", source, err, wantErr)
		}
	}
	f("", "without a verb")
	f("take key=k", "is no verb")
	f("100", "is no verb")
	f("get length=5", "a packet has no length")
	f("get opaque=x", "invalid syntax")
	f("get magic=100", "too large")
	f("get keylen=10000", "too large")
	f("get extras=abc", "odd length")
	f("get key=\\q", "is no escape")
	f("get key=k value=\\q", "is no escape")
}
