package protocol

// ItemBytes is what memcached reckons an item to weigh: its header, CAS unique, key with a NUL, flags if any, and value with CR LF. Limits are
// told in these bytes, so a value that fits there fits here, and the other way round.
func ItemBytes(keyBytes int, flags uint32, valueBytes int) int {
	const header, cas, nul, crlf = 48, 8, 1, 2
	n := header + cas + keyBytes + nul + valueBytes + crlf
	if flags != 0 {
		n += 4
	}
	return n
}
