package login_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/memring/memring/protocol/login"
)

// What stands for that which no fuzzer finds: the nonce that the server has chosen, and the proof of who knows the password.
const (
	nonceMark = "\x01"
	proofMark = "\x02"
)

// Whatever a client makes of SCRAM's messages, also if it repeats the server's nonce: who comes in has proven the password, and is who it said it was.
func FuzzScram(f *testing.F) {
	f.Add([]byte("n,,n=user,r=abc"), []byte("c=biws,r=\x01,p=\x02"), []byte(nil))
	f.Add([]byte("n,a=user,n=user,r=abc"), []byte("c=bixhPXVzZXIs,r=\x01,p=\x02"), []byte(nil))
	f.Add([]byte("n,a=foo,n=user,r=abc"), []byte("c=bixhPWZvbyw=,r=\x01,p=\x02"), []byte(nil))
	f.Add([]byte("n,,n=nobody,r=abc"), []byte("c=biws,r=\x01,p=\x02"), []byte(nil))
	f.Add([]byte("n,,n=user,r=abc"), []byte("c=biws,r=\x01,p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), []byte(nil))
	f.Add([]byte("y,,n=us=65r,r=,ext=1"), []byte("c=eSws,r=\x01x,ext=2,p=\x02"), []byte("x"))
	u := users(f, "foo:a password that no fuzzer finds\nuser:"+pencil, login.Scram)
	salt, err := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	if err != nil {
		f.Fatal(err)
	}
	salted, err := pbkdf2.Key(sha256.New, "pencil", salt, 4096, sha256.Size)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, first, final, end []byte) {
		x := u.Begin()
		challenge, verdict := x.Start([]byte(login.Scram), first)
		if verdict != login.Continue {
			if x.User() != nil || verdict == login.In {
				t.Fatal("in by one message")
			}
			return
		}
		challenge = bytes.Clone(challenge) // good until the next step
		nonce, _, _ := strings.Cut(strings.TrimPrefix(string(challenge), "r="), ",")
		message := strings.ReplaceAll(string(final), nonceMark, nonce)
		unproven, _, _ := strings.Cut(message, ",p=")
		message = strings.ReplaceAll(message, proofMark, proof(salted, string(first), string(challenge), unproven))
		if _, verdict = x.Step([]byte(message)); verdict == login.In || x.User() != nil {
			t.Fatal("in before the end")
		}
		proven := verdict == login.Continue
		if proven && !bytes.Contains(final, []byte(proofMark)) {
			t.Fatalf("%q: proven without the password", message)
		}
		_, verdict = x.Step(end)
		if in := x.User() != nil; in != (proven && len(end) == 0) || in != (verdict == login.In) {
			t.Fatalf("%q: proven %v, in %v, verdict %d", message, proven, in, verdict)
		}
		if proven && len(end) == 0 && x.User().Name != "user" {
			t.Fatalf("the password of user, and %s is in", x.User().Name)
		}
	})
}

// proof is that of who knows the password which makes this key, in base64 (RFC 5802, section 3).
func proof(salted []byte, first, challenge, final string) string {
	mac := func(key []byte, of string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(of))
		return h.Sum(nil)
	}
	key := mac(salted, "Client Key")
	stored := sha256.Sum256(key)
	_, bare, _ := strings.Cut(first, ",")
	_, bare, _ = strings.Cut(bare, ",")
	shown := mac(stored[:], bare+","+challenge+","+final)
	for i := range shown {
		shown[i] ^= key[i]
	}
	return base64.StdEncoding.EncodeToString(shown)
}
