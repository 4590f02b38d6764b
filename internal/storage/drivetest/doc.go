// Package drivetest is a Google Drive for tests: a server with a state that speaks
// OAuth 2 and the part of Drive's API v3 that rclone and Salvor use, under Google's own
// host names. What Drive refuses it refuses with Drive's status and reason. It can be
// made to fail as Drive does, and counts the calls it gets.
//
// What the real API knows and this one does not is answered with status 501, so that no
// test passes on a guess.
package drivetest
