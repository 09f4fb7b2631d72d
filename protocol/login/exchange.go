package login

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/xdg-go/scram"
)

// A Verdict is where a login stands after a step.
type Verdict uint8

// The verdicts.
const (
	Refused  Verdict = iota // over: nobody has come in
	Continue                // the client has to answer
	In                      // over: User has come in
)

// An Exchange is the login of one client by SASL (RFC 4422), in one step or several. One goroutine at a time uses it.
type Exchange struct {
	users   *Users
	noPlain bool
	user    *User
	next    func(data []byte) (reply []byte, verdict Verdict) // what the client's next step is given to; nil: none is under way
}

// Begin makes the exchange one with these users.
func (u *Users) Begin() Exchange { return Exchange{users: u} }

// RefusePlain has PLAIN neither offered nor taken: for where others may hear the password.
func (x *Exchange) RefusePlain() { x.noPlain = true }

// Mechanisms names what is offered, with blanks between, in the order of preference.
func (x *Exchange) Mechanisms() string {
	offered := slices.Clone(x.users.cfg.Mechanisms)
	return strings.Join(slices.DeleteFunc(offered, func(name string) bool { return !x.offers(name) }), " ")
}

func (x *Exchange) offers(name string) bool {
	return x.users.offers(name) && !(x.noPlain && name == Plain)
}

// User is who has come in; nil: nobody.
func (x *Exchange) User() *User { return x.user }

// Start begins to log in by a mechanism; data is the client's first word, empty if the server has to speak first. What was before is forgotten,
// whoever was in. The reply is what the client is to answer; it is good until the next step.
func (x *Exchange) Start(mechanism, data []byte) (reply []byte, verdict Verdict) {
	x.users.refresh()
	x.user, x.next = nil, nil
	name := strings.ToUpper(string(mechanism))
	switch {
	case !x.offers(name):
		x.next = refused
	case name == Plain:
		x.next = x.plain
	case name == Scram:
		x.next = x.scramFirst()
	case name == Cram:
		x.next = x.cramChallenge
	}
	return x.Step(data)
}

// Step goes on with what the client has answered. Without a login under way that is refused, and counted as one.
func (x *Exchange) Step(data []byte) (reply []byte, verdict Verdict) {
	step := x.next
	if x.next = nil; step == nil {
		step = refused
	}
	if reply, verdict = step(data); verdict == Continue {
		return reply, verdict
	}
	x.next = nil
	x.users.count(x.user)
	return nil, verdict
}

func refused([]byte) (reply []byte, verdict Verdict) { return nil, Refused }

// ends is the verdict that lets user in; nobody if it is nil.
func (x *Exchange) ends(user *User) (reply []byte, verdict Verdict) {
	if x.user = user; user == nil {
		return nil, Refused
	}
	return nil, In
}

// plain reads "[authorization identity] NUL name NUL password" (RFC 4616). Nobody may act for another.
func (x *Exchange) plain(data []byte) (reply []byte, verdict Verdict) {
	actFor, rest, ok := bytes.Cut(data, []byte{0})
	name, password, ok2 := bytes.Cut(rest, []byte{0})
	if !ok || !ok2 || len(actFor) > 0 && !bytes.Equal(actFor, name) {
		return nil, Refused
	}
	return x.ends(x.users.byPassword(name, password))
}

// scramFirst begins RFC 7677: the client's first and final message, each answered. The last answer is the server's proof, so it is sent as a
// challenge, and the client ends the exchange by an empty step.
func (x *Exchange) scramFirst() func(data []byte) ([]byte, Verdict) {
	l := x.users.known.Load()
	var found *account // nil: nobody knows the user
	server, err := scram.SHA256.NewServer(func(name string) (keys, error) {
		if accounts := l.accounts[name]; len(accounts) > 0 {
			found = &accounts[0] // of several passwords the first
			return found.keys, nil
		}
		return x.users.madeUp(name, l.iterations), nil
	})
	if err != nil {
		return refused
	}
	conversation := server.NewConversation()
	final := func(data []byte) ([]byte, Verdict) {
		proof, err := conversation.Step(string(data))
		if actFor := conversation.AuthzID(); err != nil || !conversation.Valid() || found == nil || actFor != "" && actFor != conversation.Username() {
			return nil, Refused
		}
		x.next = func(data []byte) ([]byte, Verdict) {
			if len(data) > 0 {
				return nil, Refused
			}
			return x.ends(x.users.enters(conversation.Username(), l, found))
		}
		return []byte(proof), Continue
	}
	return func(data []byte) ([]byte, Verdict) {
		challenge, err := conversation.Step(string(data))
		if err != nil {
			return nil, Refused
		}
		x.next = final
		return []byte(challenge), Continue
	}
}

// cramChallenge begins RFC 2195: the server speaks first.
func (x *Exchange) cramChallenge(data []byte) (reply []byte, verdict Verdict) {
	if len(data) > 0 {
		return nil, Refused
	}
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce) // never fails
	challenge := []byte("<" + hex.EncodeToString(nonce) + "@memring>")
	x.next = func(data []byte) ([]byte, Verdict) { return x.ends(x.users.byCram(challenge, data)) }
	return challenge, Continue
}

// byCram reads "name digest", the digest being of the challenge with the password as its key. A name may hold blanks.
func (u *Users) byCram(challenge, data []byte) (user *User) {
	blank := bytes.LastIndexByte(data, ' ')
	if blank < 0 {
		return nil
	}
	name, offered := data[:blank], data[blank+1:]
	l := u.known.Load()
	accounts := l.accounts[string(name)]
	for i := range accounts {
		if a := &accounts[i]; !a.hashed && hmac.Equal(offered, cram(a.password, challenge)) && user == nil {
			user = u.enters(string(name), l, a)
		}
	}
	if len(accounts) == 0 {
		hmac.Equal(offered, cram(u.secret[:], challenge)) // for the time it takes
	}
	return user
}

func cram(password, challenge []byte) (digest []byte) {
	h := hmac.New(md5.New, password)
	_, _ = h.Write(challenge) // never fails
	return hex.AppendEncode(nil, h.Sum(nil))
}
