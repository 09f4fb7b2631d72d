//go:build !linux

package server

// converse answers until the client goes, the conversation ends, or the server stops.
func (c *conn) converse() { c.converseSlowly() }

func (c *conn) readSocket(p []byte) (int, error) { return c.net.Read(p) }

func (c *conn) writeSocket(p []byte) (int, error) { return c.writeSlowly(p) }

func (c *conn) writeWaiting(p []byte) (int, error) { return c.net.Write(p) }
