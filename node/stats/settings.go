package stats

import "strings"

// A Difference is a setting that should be the same on all members, and is not.
type Difference struct {
	Name string `json:"name"`
	Here string `json:"here"`
	Says string `json:"says"` // what the other member says
}

// Differing compares what two members say in "cluster_settings", NAME=VALUE with commas. What one of them does not know, being of another build, does not differ.
func Differing(here, there string) (all []Difference) {
	said := map[string]string{}
	for _, setting := range strings.Split(there, ",") {
		name, value, _ := strings.Cut(setting, "=")
		said[name] = value
	}
	for _, setting := range strings.Split(here, ",") {
		name, value, _ := strings.Cut(setting, "=")
		if other, known := said[name]; known && other != value {
			all = append(all, Difference{Name: name, Here: value, Says: other})
		}
	}
	return all
}
