// Google Cloud Storage for tests. The emulator keeps the objects; it speaks Google's JSON API, and of the XML API only what
// browsers use. This puts the part of the XML API in front that the vault speaks: writing, writing if there is none, reading,
// deleting and listing. Each is handed to the emulator's own handlers; whatever else is asked for is refused, never half done.
// It lets in who signs with the service account's key that it writes when it starts, and who has the token that its metadata
// server gave out.
//
// Source: Google Cloud documentation, "XML API", "HTTP status and error codes for XML", "Service accounts: self-signed JWT",
// "VM metadata: access tokens".
package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"flag"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/fsouza/fake-gcs-server/fakestorage"
)

// Largest object of a test.
const largest = 64 << 20

// Objects of one page of a list, as of the real store.
const page = 1000

// A refusal in the words of the XML API.
type refusal struct {
	XMLName xml.Name `xml:"Error"`
	status  int
	Code    string
	Message string
}

func (r *refusal) answer(to http.ResponseWriter) { answer(to, r.status, r) }

var (
	unknownBucket = &refusal{status: 404, Code: "NoSuchBucket", Message: "The specified bucket does not exist."}
	unknownKey    = &refusal{status: 404, Code: "NoSuchKey", Message: "The specified key does not exist."}
	precondition  = &refusal{status: 412, Code: "PreconditionFailed", Message: "At least one of the pre-conditions you specified did not hold."}
	untranslated  = &refusal{status: 501, Code: "NotImplemented", Message: "The emulator does not translate this request."}
)

// What the emulator said in JSON, in the words of the XML API.
func refused(found *http.Response) *refusal {
	switch found.StatusCode {
	case http.StatusNotFound:
		return unknownKey
	case http.StatusPreconditionFailed:
		return precondition
	}
	return &refusal{status: found.StatusCode, Code: "InternalError", Message: found.Status}
}

func answer(to http.ResponseWriter, status int, body any) {
	to.Header().Set("Content-Type", "application/xml; charset=UTF-8")
	to.WriteHeader(status)
	io.WriteString(to, xml.Header)
	if err := xml.NewEncoder(to).Encode(body); err != nil {
		log.Print(err)
	}
}

type store struct {
	emulator *fakestorage.Server
	door     *door
}

func (s *store) ServeHTTP(to http.ResponseWriter, request *http.Request) {
	if request.URL.Path == tokens {
		s.door.hand(to, request)
		return
	}
	if no := s.door.check(request); no != nil {
		no.answer(to)
		return
	}
	bucket, object, _ := strings.Cut(strings.TrimPrefix(request.URL.Path, "/"), "/")
	if _, err := s.emulator.Backend().GetBucket(bucket); err != nil {
		unknownBucket.answer(to)
		return
	}
	switch {
	case object == "" && request.Method == http.MethodGet:
		s.list(to, bucket, request.URL.Query())
	case object == "" || request.URL.RawQuery != "":
		untranslated.answer(to)
	case request.Method == http.MethodPut && request.Header.Get("x-goog-copy-source") == "":
		s.put(to, request, bucket, object)
	case request.Method == http.MethodGet || request.Method == http.MethodHead:
		s.get(to, request, bucket, object)
	case request.Method == http.MethodDelete:
		s.remove(to, bucket, object)
	default:
		untranslated.answer(to)
	}
}

// Asks the emulator.
func (s *store) ask(method, path string, query url.Values, header http.Header, body []byte) *http.Response {
	address := url.URL{Path: path, RawPath: path, RawQuery: query.Encode()}
	if plain, err := url.PathUnescape(path); err == nil {
		address.Path = plain
	}
	request := httptest.NewRequest(method, "http://emulator/", bytes.NewReader(body))
	request.URL, request.RequestURI = &address, address.RequestURI()
	request.Header = header
	recorder := httptest.NewRecorder()
	s.emulator.HTTPHandler().ServeHTTP(recorder, request)
	return recorder.Result()
}

func place(above, bucket, object string) string {
	return above + "/b/" + url.PathEscape(bucket) + "/o/" + url.PathEscape(object)
}

func (s *store) put(to http.ResponseWriter, request *http.Request, bucket, object string) {
	// The emulator reads with its lock held: so all of it first.
	content, err := io.ReadAll(http.MaxBytesReader(to, request.Body, largest))
	if err != nil {
		return
	}
	query := url.Values{"uploadType": {"media"}, "name": {object}}
	if generation := request.Header.Get("x-goog-if-generation-match"); generation != "" {
		query.Set("ifGenerationMatch", generation)
	}
	header := http.Header{"Content-Type": request.Header["Content-Type"]}
	found := s.ask(http.MethodPost, "/upload/storage/v1/b/"+url.PathEscape(bucket)+"/o", query, header, content)
	if found.StatusCode != http.StatusOK {
		refused(found).answer(to)
		return
	}
	var written struct{ Etag, Generation string }
	if err := json.NewDecoder(found.Body).Decode(&written); err != nil {
		log.Print(err)
	}
	to.Header().Set("ETag", strconv.Quote(strings.Trim(written.Etag, `"`)))
	to.Header().Set("x-goog-generation", written.Generation)
	to.WriteHeader(http.StatusOK)
}

func (s *store) get(to http.ResponseWriter, request *http.Request, bucket, object string) {
	header := http.Header{}
	if asked := request.Header.Get("Range"); asked != "" {
		header.Set("Range", asked)
	}
	found := s.ask(request.Method, place("/download/storage/v1", bucket, object), nil, header, nil)
	if found.StatusCode == http.StatusNotFound {
		refused(found).answer(to)
		return
	}
	for name, values := range found.Header {
		to.Header()[name] = values
	}
	to.WriteHeader(found.StatusCode)
	io.Copy(to, found.Body)
}

func (s *store) remove(to http.ResponseWriter, bucket, object string) {
	found := s.ask(http.MethodDelete, place("/storage/v1", bucket, object), nil, http.Header{}, nil)
	if found.StatusCode != http.StatusOK {
		refused(found).answer(to)
		return
	}
	to.WriteHeader(http.StatusNoContent)
}

type object struct {
	Key, LastModified, ETag string
	Generation, Size        int64
}

type objects struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	Name, Prefix          string
	KeyCount              int
	IsTruncated           bool
	NextContinuationToken string   `xml:",omitempty"`
	Contents              []object `xml:"Contents"`
}

func (s *store) list(to http.ResponseWriter, bucket string, query url.Values) {
	for name := range query {
		if name != "list-type" && name != "prefix" && name != "continuation-token" {
			untranslated.answer(to)
			return
		}
	}
	options := fakestorage.ListOptions{Prefix: query.Get("prefix"), PageToken: query.Get("continuation-token"), MaxResults: page}
	found, err := s.emulator.ListObjectsWithOptionsPaginated(bucket, options)
	if err != nil {
		unknownBucket.answer(to)
		return
	}
	list := objects{Name: bucket, Prefix: options.Prefix, KeyCount: len(found.Objects)}
	list.NextContinuationToken, list.IsTruncated = found.NextPageToken, found.NextPageToken != ""
	for _, one := range found.Objects {
		modified := one.Updated.UTC().Format(time.RFC3339Nano)
		list.Contents = append(list.Contents, object{one.Name, modified, strconv.Quote(one.Etag), one.Generation, one.Size})
	}
	answer(to, http.StatusOK, list)
}

func main() {
	listen := flag.String("listen", "127.0.0.1:4443", "address to listen on")
	bucket := flag.String("bucket", "safe", "the bucket that there is")
	account := flag.String("account", "account.json", "file to write the service account's key to")
	flag.Parse()
	emulator, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true})
	if err != nil {
		log.Fatal(err)
	}
	emulator.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: *bucket})
	door, err := open(*account)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe(*listen, &store{emulator, door}))
}
