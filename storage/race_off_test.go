//go:build !race

package storage

const raceOn = false // the race detector makes everything slow, and sync.Pool forgetful
