package login

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/xdg-go/scram"
)

// keys are what SCRAM keeps of a password (RFC 5802, section 3): enough to know it when one sees it, too little to log in with.
type keys = scram.StoredCredentials

// A digest stands for a password within this process: of one length, so that comparing tells nothing of the password's.
type digest [sha256.Size]byte

const (
	// hashPrefix begins a hashed password: SCRAM-SHA-256$ITERATIONS:SALT$STORED_KEY:SERVER_KEY, each in base64 (RFC 5803, section 2).
	hashPrefix = "SCRAM-SHA-256$"

	// clearIterations are for passwords that stand in clear in their file: the least that clients accept (RFC 7677, section 4).
	clearIterations = 4096

	// hashIterations are what Hash makes: some milliseconds for every login by PLAIN and for every guess at a stolen file.
	hashIterations = 16384

	// maxIterations bounds what a line of the file may cost at each login: about a quarter of a second.
	maxIterations = 1 << 20

	saltBytes    = 16
	maxSaltBytes = 64
)

// Hash gives a line's password in the form in which it may be kept where others read it.
func Hash(password []byte) (string, error) {
	if len(password) == 0 {
		return "", errors.New("an empty password")
	}
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // never fails
	k, err := deriveKeys(password, salt, hashIterations)
	if err != nil {
		return "", err
	}
	base := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("%s%d:%s$%s:%s", hashPrefix, k.Iters, base(salt), base(k.StoredKey), base(k.ServerKey)), nil
}

// parseHash reads what Hash makes, or another who keeps to RFC 5803.
func parseHash(text string) (k keys, err error) {
	wrong := fmt.Errorf("not %sITERATIONS:SALT$STORED_KEY:SERVER_KEY", hashPrefix)
	factors, proofs, ok := strings.Cut(strings.TrimPrefix(text, hashPrefix), "$")
	iterations, salt, ok2 := strings.Cut(factors, ":")
	stored, server, ok3 := strings.Cut(proofs, ":")
	if !ok || !ok2 || !ok3 {
		return k, wrong
	}
	if k.Iters, err = strconv.Atoi(iterations); err != nil {
		return k, wrong
	}
	if k.Iters < clearIterations || k.Iters > maxIterations {
		return k, fmt.Errorf("%d iterations are not from %d to %d", k.Iters, clearIterations, maxIterations)
	}
	raw, err := base64.StdEncoding.DecodeString(salt)
	if k.Salt = string(raw); err != nil || len(raw) == 0 || len(raw) > maxSaltBytes {
		return k, wrong
	}
	if k.StoredKey, err = base64.StdEncoding.DecodeString(stored); err != nil || len(k.StoredKey) != sha256.Size {
		return k, wrong
	}
	if k.ServerKey, err = base64.StdEncoding.DecodeString(server); err != nil || len(k.ServerKey) != sha256.Size {
		return k, wrong
	}
	return k, nil
}

// derive gives the keys of a password, when it is its turn. Of one that has none (only a fault of the library's could make it so) it gives
// keys that nobody has.
func (u *Users) derive(password, salt []byte, iterations int) keys {
	u.deriving <- struct{}{}
	defer func() { <-u.deriving }()
	k, err := deriveKeys(password, salt, iterations)
	if err != nil {
		return u.madeUp(string(salt), iterations)
	}
	return k
}

// deriveKeys is Hi and what follows it in RFC 5802. The password is normalized (SASLprep) as clients do it, where it can be.
func deriveKeys(password, salt []byte, iterations int) (keys, error) {
	client, err := scram.SHA256.NewClient("", string(password), "")
	if err != nil {
		client, err = scram.SHA256.NewClientUnprepped("", string(password), "")
	}
	if err != nil {
		return keys{}, err
	}
	return client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: string(salt), Iters: iterations})
}

// madeUp gives the keys of a user nobody knows: the same whenever one asks, and nobody's password has them.
func (u *Users) madeUp(name string, iterations int) keys {
	stored, server := u.mac("stored", name), u.mac("server", name)
	return keys{
		KeyFactors: scram.KeyFactors{Salt: string(u.salt(name)), Iters: iterations},
		StoredKey:  stored[:],
		ServerKey:  server[:],
	}
}

// salt is that of a name, known or not, whose password is not hashed.
func (u *Users) salt(name string) []byte {
	m := u.mac("salt", name)
	return m[:saltBytes]
}

func (u *Users) digest(password []byte) digest { return u.mac("password", string(password)) }

// mac depends on text, on what it is for, and on this process.
func (u *Users) mac(purpose, text string) (sum digest) {
	h := hmac.New(sha256.New, u.secret[:])
	_, _ = h.Write([]byte(purpose + "\x00" + text)) // never fails
	h.Sum(sum[:0])
	return sum
}
