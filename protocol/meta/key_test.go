package meta

import (
	"bytes"
	"encoding/base64"
	"testing"
)

func TestDecode(t *testing.T) {
	f := func(src, want string) {
		t.Helper()
		dst := make([]byte, len(src))
		if got := dst[:decode(dst, []byte(src))]; string(got) != want {
			t.Errorf("%q: %q, want %q", src, got, want)
		}
	}
	f("Zm9v", "foo")
	f("Zm8=", "fo")
	f("Zg==", "f")
	f("Zm9vYmFy", "foobar")
	f("+/+/", "\xfb\xff\xbf")
	f("Z-m.9 v", "foo")
	f("Zg==Zm9v", "f")
	f("Zh==", "f")
	f("Zm=v", "f`")
	for _, none := range []string{"", "!", "Z", "Zm", "Zm9", "Zm9vZ", "====", "Z===", "Zm9v===="} {
		f(none, "")
	}
}

// Every key comes back; and where encoding/base64 takes what is sent, decode takes it for the same.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("foo"))
	f.Add([]byte("Zm9v"))
	f.Add([]byte{0, 0xff, '='})
	f.Fuzz(func(t *testing.T, in []byte) {
		sent := appendKey(nil, in, base64Key)
		dst := make([]byte, len(sent))
		if got := dst[:decode(dst, sent)]; !bytes.Equal(got, in) {
			t.Fatalf("%q sent as %q is %q", in, sent, got)
		}
		dst = make([]byte, len(in))
		n := decode(dst, in)
		if n > len(in)/4*3 {
			t.Fatalf("%q: %d bytes", in, n)
		}
		if want, err := base64.StdEncoding.DecodeString(string(in)); err == nil && !bytes.Equal(dst[:n], want) {
			t.Fatalf("%q: %q, want %q", in, dst[:n], want)
		}
	})
}
