//go:build !linux

package server

// serve answers until the client goes, the conversation ends, or the server stops.
func (c *conn) serve() {
	defer c.close()
	c.servePlain()
}

func (c *conn) send(p []byte) error {
	n, err := c.net.Write(p)
	c.server.stats.BytesWritten.Add(int64(n))
	return err
}
