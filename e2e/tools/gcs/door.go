// Who is let in.
package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"os"
	"strings"
	"time"
)

// Where a Pod asks for the token of its cloud's identity.
const tokens = "/computeMetadata/v1/instance/service-accounts/default/token"

const email = "vault@porpoise.example"

type door struct {
	key   *rsa.PrivateKey
	token string
}

// Makes a service account, and writes its key as Google's console hands it out.
func open(file string) (*door, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(map[string]string{
		"type":           "service_account",
		"client_email":   email,
		"private_key_id": "first",
		"private_key":    string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})),
	})
	if err != nil {
		return nil, err
	}
	return &door{key, rand.Text()}, os.WriteFile(file, text, 0o600)
}

// Gives out the token, as the metadata server does.
func (d *door) hand(to http.ResponseWriter, request *http.Request) {
	if request.Header.Get("Metadata-Flavor") != "Google" {
		http.Error(to, "Missing Metadata-Flavor:Google header.", http.StatusForbidden)
		return
	}
	to.Header().Set("Content-Type", "application/json")
	json.NewEncoder(to).Encode(map[string]any{"access_token": d.token, "expires_in": 3599, "token_type": "Bearer"})
}

func (d *door) check(request *http.Request) *refusal {
	token, isBearer := strings.CutPrefix(request.Header.Get("Authorization"), "Bearer ")
	if isBearer && (token == d.token || d.signed(token)) {
		return nil
	}
	return &refusal{status: 401, Code: "AuthenticationRequired", Message: "Authentication required."}
}

// Whether the account signed it, and its time has not passed.
func (d *door) signed(token string) bool {
	message, signature, _ := cutLast(token)
	sum := sha256.Sum256([]byte(message))
	decoded, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil || rsa.VerifyPKCS1v15(&d.key.PublicKey, crypto.SHA256, sum[:], decoded) != nil {
		return false
	}
	_, body, _ := cutLast(message)
	text, err := base64.RawURLEncoding.DecodeString(body)
	var claims struct {
		Iss, Scope string
		Exp        int64
	}
	if err != nil || json.Unmarshal(text, &claims) != nil {
		return false
	}
	return claims.Iss == email && claims.Scope != "" && time.Now().Unix() < claims.Exp
}

func cutLast(text string) (before, after string, found bool) {
	at := strings.LastIndexByte(text, '.')
	if at < 0 {
		return text, "", false
	}
	return text[:at], text[at+1:], true
}
