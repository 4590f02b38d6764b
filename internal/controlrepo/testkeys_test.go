package controlrepo

// testRecipient is the public half of a key that was made for these tests and
// thrown away.
const testRecipient = "age1lfwkc64cxta67a06pflg8dkvsu88k6ywwekwne47vfcjf8h5fc7skv9s9w"
