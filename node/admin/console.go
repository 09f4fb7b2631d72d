package admin

import (
	"embed"
	"net/http"
)

// The console is served as it is written: nothing is built, and nothing comes from elsewhere.
//
//go:embed console
var console embed.FS

// policy lets a page of the console load only what this port serves, and nobody show it within another page.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// showConsole serves the console.
func showConsole(mux *http.ServeMux) {
	for path, file := range map[string]string{
		"/{$}":         "index.html",
		"/console.css": "console.css",
		"/console.js":  "console.js",
		"/charts.js":   "charts.js",
		"/icon.svg":    "icon.svg",
	} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			h.Set("Content-Security-Policy", policy)
			h.Set("X-Content-Type-Options", "nosniff")
			h.Set("Referrer-Policy", "no-referrer")
			h.Set("Cache-Control", "no-cache") // so that a new version's page and script come together
			http.ServeFileFS(w, r, console, "console/"+file)
		})
	}
}
