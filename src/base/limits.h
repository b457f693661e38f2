// Every bound of the product, in one place. Each has a test that hits it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace hexr::limits {

// Names (SPIFFE-ID.md 2.1, 2.3)
inline constexpr size_t kMaxTrustDomainBytes = 255;
inline constexpr size_t kMaxSpiffeIdBytes = 2048;
inline constexpr size_t kMaxIdSegmentBytes = 128;

// Messages between processes
inline constexpr size_t kMaxInlineMessageBytes = 60 * 1024;        // larger ones travel as a memfd
inline constexpr size_t kMaxMessageBytes = 16 * 1024 * 1024;
inline constexpr size_t kMaxMessageFds = 64;
inline constexpr size_t kMaxQueuedMessages = 4096;                 // per channel; beyond it the peer is dead to us

// Agent processes (spawner)
inline constexpr size_t kMaxAgentListeners = 56;                   // fits one message with its socket of diagnosis and handles
inline constexpr int kAgentListenBacklog = 512;
inline constexpr size_t kMaxOwnerMaps = 256;                       // id map namespaces kept for the next launch
inline constexpr size_t kMaxEtcFileBytes = 512 * 1024;
inline constexpr size_t kMaxLaunchMessageBytes = 4 * 1024 * 1024;   // arguments and environment of one launch
inline constexpr size_t kMaxLaunchSessions = 4096;                 // connections of `hexr run`
inline constexpr size_t kMaxUnheardEnds = 256;                     // kept for starters that come back
inline constexpr size_t kMaxQueuedSockets = 64;                    // asked of one agent's PID 1 and not made yet
inline constexpr unsigned long kMaxAgentProcesses = 4096;          // RLIMIT_NPROC of one agent, at most
inline constexpr size_t kMaxFoldersGiven = 48;                     // to one agent
inline constexpr size_t kMaxKnownImages = 4096;                    // digests remembered
inline constexpr size_t kMaxQueuedMeasurements = 256;
inline constexpr size_t kMaxProcessesWalked = 512;                 // for the owner of one connection
inline constexpr size_t kMaxThreadsWalked = 4096;
inline constexpr size_t kMaxDescriptorsListed = 65536;
inline constexpr int kMaxDescriptorsTried = 1024;                  // by number, of a process that hides its list

// JSON texts (wire/json.h): defaults that a caller may narrow or widen
inline constexpr size_t kMaxJsonBytes = 16 * 1024 * 1024;
inline constexpr size_t kMaxJsonDepth = 128;
inline constexpr size_t kMaxJsonValues = 1'000'000;
inline constexpr size_t kMaxJsonNumberBytes = 4096;

// Ledger
inline constexpr size_t kMaxPublicNameBytes = 256;
inline constexpr size_t kMaxRecordBytes = 32 * 1024;               // an entry of tlog-tiles has at most 65,535
inline constexpr size_t kMaxRecordDepth = 4;                       // objects and lists inside a record's body
inline constexpr size_t kMaxNoteBytes = 64 * 1024;
inline constexpr size_t kMaxNoteSignatures = 64;                   // signed-note asks for 16 or more
inline constexpr size_t kMaxNoteKeyNameBytes = 255;
inline constexpr size_t kMaxCheckpointLines = 64;
inline constexpr size_t kMaxAddCheckpointBytes = kMaxNoteBytes + 64 * 48;
inline constexpr size_t kMaxStoredTextBytes = 1024 * 1024;         // longer texts leave their digest alone
inline constexpr size_t kMaxFrameTextBytes = 4 * 1024 * 1024;      // texts beside one record
inline constexpr size_t kMaxJournalFrameBytes = 5 * 1024 * 1024;
inline constexpr size_t kMaxJournalInstances = 65536;              // live at a time in one journal
inline constexpr uint64_t kRotateJournalBytes = 64 * 1024 * 1024;
inline constexpr uint64_t kMaxPendingRecords = 65536;              // read from journals and not in a checkpoint yet

// Gateway: what one instance, and what one connection, may hold
inline constexpr size_t kMaxEgressRules = 4096;                    // egress.allow
inline constexpr size_t kMaxConnectionsPerInstance = 512;
inline constexpr size_t kMaxSyntheticNames = 4096;                 // names that DNS has answered, per instance
inline constexpr size_t kMaxStreamBufferBytes = 256 * 1024;        // unsent bytes of one direction before reading stops
inline constexpr size_t kMaxDnsQueriesPending = 256;                // per instance
inline constexpr uint32_t kMaxDnsQueriesPerSecond = 500;           // per instance; as many again in a burst
inline constexpr uint32_t kDnsTtlSeconds = 60;
inline constexpr size_t kMaxResolverQueue = 1024;                  // names waiting for a resolver thread
inline constexpr size_t kMaxDialAttempts = 4;                      // addresses of one name
inline constexpr size_t kMaxParkedItems = 8192;                    // per child: what the supervisor keeps across its restart

// Identity: what is read of a process, and how much of it is kept
inline constexpr size_t kMaxProcFileBytes = 64 * 1024;             // stat, status (groups), cgroup
inline constexpr size_t kMaxAncestors = 64;
inline constexpr uint64_t kMaxHashedFileBytes = 1024ULL * 1024 * 1024;
inline constexpr size_t kMaxCachedDigests = 1024;
inline constexpr size_t kMaxSelectorBytes = 4096 + 16;             // a path, with its kind
inline constexpr size_t kMaxSelectorsPerEntry = 64;
inline constexpr size_t kMaxEntries = 10'000;
inline constexpr size_t kMaxHintBytes = 1024;                      // SPIFFE_Workload_API.md 5.2
inline constexpr size_t kMaxInstances = 20'000;
inline constexpr size_t kMaxLineage = 16;
// Keys and certificates
inline constexpr size_t kMinRsaBits = 2048;
inline constexpr size_t kMaxRsaBits = 4096;
inline constexpr size_t kMaxCertificateBytes = 64 * 1024;
inline constexpr size_t kMaxChainCertificates = 8;                 // leaf included
inline constexpr size_t kMaxCertificateNames = 64;                 // subject alternative names
inline constexpr size_t kMaxBundleAuthorities = 256;               // per trust domain
inline constexpr size_t kMaxPemBytes = 1024 * 1024;
inline constexpr size_t kMaxJwtBytes = 16 * 1024;
inline constexpr size_t kMaxJwkSetBytes = 1024 * 1024;
inline constexpr size_t kMaxJwkSetKeys = 256;
inline constexpr size_t kMaxUnnamedKeys = 8;                       // tried on a token without kid, one verification each
inline constexpr size_t kMaxJoseMembers = 64;                      // of one object: duplicates are looked for one by one
inline constexpr size_t kMaxJoseDepth = 16;                        // of JOSE headers and key sets
// HTTP/2 and gRPC servers (wire/http2_server.h, wire/grpc_server.h), per connection unless said otherwise
inline constexpr uint32_t kMaxHttp2Streams = 100;
inline constexpr size_t kMaxHttp2FieldBytes = 16 * 1024;           // per request
inline constexpr size_t kMaxHttp2UnreadAnswers = 200;              // SETTINGS and PING answers that the peer has not read
inline constexpr int64_t kHttp2ControlBurst = 1000;                // control frames at once, and then
inline constexpr int64_t kHttp2ControlPerSecond = 100;             // per second
inline constexpr int64_t kHttp2ResetCost = 5;                      // a reset stream in control frames
inline constexpr int64_t kHttp2ContinuationCost = 20;              // a CONTINUATION in control frames
inline constexpr size_t kMaxGrpcMessageBytes = 4 * 1024 * 1024;    // gRPC's own default
inline constexpr size_t kMaxGrpcBufferedBytes = 8 * 1024 * 1024;   // incomplete messages of all calls together
inline constexpr size_t kMaxGrpcQueuedBytes = 8 * 1024 * 1024;     // per stream, not yet read by the client
inline constexpr size_t kMaxKeyIdBytes = 256;
inline constexpr size_t kMaxBundleMapBytes = 8 * 1024 * 1024;
inline constexpr size_t kMaxOldSlots = 16;                         // retired signing keys that stay in the bundle, of one use
inline constexpr size_t kMaxRevocations = 4096;                    // on the list; beyond it those that end first go first
inline constexpr size_t kMaxAudiences = 32;                        // of one JWT-SVID request
inline constexpr size_t kMaxAudienceBytes = 2048;
inline constexpr size_t kMaxCachedTokens = 64;                     // JWT-SVIDs of one identity of a process
inline constexpr size_t kMaxLiveCertificates = 16;                 // of one identity of a process; the oldest is revoked beyond it
inline constexpr size_t kMaxFederatedDomains = 256;
inline constexpr size_t kMaxRateLimitedCallers = 4096;             // whose request rate is remembered
inline constexpr size_t kMaxStreamsPerProcess = 64;                // open Workload API and SDS streams of one process
inline constexpr size_t kMaxSubIdentities = 64;                    // of one instance
inline constexpr size_t kMaxSdsNames = 256;                        // subscribed on one stream
inline constexpr size_t kMaxWaitingUserTokens = 64;                // for the keys of one issuer

inline constexpr size_t kMaxTenants = 1024;
inline constexpr size_t kMaxAdminConnections = 32;                  // operators at once

// TLS and DNS as they begin (wire/client_hello.h, wire/dns.h)
inline constexpr size_t kMaxClientHelloBytes = 64 * 1024;
inline constexpr size_t kMaxTlsChainBytes = 64 * 1024;              // certificates of one peer
inline constexpr size_t kMaxDnsQueryBytes = 4096;
inline constexpr size_t kMaxDnsRecords = 64;                       // of one answer

// HTTP/1 (wire/http1.h), per message
inline constexpr size_t kMaxHttp1HeadBytes = 64 * 1024;            // a head, and a trailer section
inline constexpr size_t kMaxHttpFields = 128;
inline constexpr size_t kMaxHttp1ChunkLine = 512;                  // size and extension of one chunk
inline constexpr size_t kMaxHttp1ChunkExtensions = 16 * 1024;      // of all chunks together
inline constexpr std::chrono::milliseconds kNodeCallDeadline{5000};    // a question to keeper or spawner
inline constexpr std::chrono::milliseconds kFindOwnerDeadline{500};
inline constexpr std::chrono::milliseconds kIdentifyDeadline{1000};
inline constexpr std::chrono::milliseconds kRouteDeadline{1000};
inline constexpr std::chrono::milliseconds kDecideDeadline{5000};
inline constexpr std::chrono::milliseconds kRecordDeadline{5000};
inline constexpr std::chrono::milliseconds kConnectDeadline{15000};    // resolving, and every address tried
inline constexpr std::chrono::milliseconds kDialAttemptDeadline{4000};
inline constexpr std::chrono::milliseconds kRequestHeadDeadline{15000}; // accept to a whole request head or ClientHello
inline constexpr std::chrono::milliseconds kDnsIdleDeadline{10000};     // of a DNS connection over TCP
inline constexpr std::chrono::milliseconds kKeepAliveDeadline{60000};   // between two requests of one connection
inline constexpr std::chrono::milliseconds kLingerDeadline{1000};       // for an agent to read its last answer
inline constexpr std::chrono::milliseconds kTunnelIdleDeadline{900000}; // no byte either way

// Things at rest
inline constexpr size_t kMaxSealedValueBytes = 1024 * 1024;
inline constexpr size_t kMaxSealedNameBytes = 1024;
inline constexpr size_t kMaxSealedCollectionBytes = 64;
inline constexpr size_t kMaxKeyFileBytes = 64 * 1024;
inline constexpr size_t kMinPassphraseBytes = 12;
inline constexpr size_t kMaxPassphraseBytes = 1024;

// Vault
inline constexpr size_t kMaxVaultNameBytes = 512;                  // a path of name segments
inline constexpr size_t kMaxVaultNameSegments = 8;
inline constexpr size_t kMaxVaultValueBytes = 64 * 1024;
inline constexpr size_t kMaxVaultSecretsPerTenant = 10000;
inline constexpr size_t kMaxVaultVersions = 16;                    // older ones are deleted


// Workload API socket
inline constexpr size_t kMaxApiConnections = 8192;
inline constexpr size_t kMaxApiConnectionsPerUser = 4096;
inline constexpr size_t kMaxWritersPerConnection = 16;              // processes that have written on one connection

// Rego: policy texts and the documents they read
inline constexpr size_t kMaxRegoParseDepth = 1000;                 // nesting of terms, bodies and else
inline constexpr size_t kMaxRegoParseStepsPerToken = 100;          // what ambiguity may cost
inline constexpr size_t kMaxRegoDocumentDepth = 1000;              // JSON and YAML
inline constexpr uint64_t kMaxPolicyFileBytes = 1024ULL * 1024 * 1024;  // one .rego or data file
inline constexpr size_t kMaxPolicyFiles = 100'000;                 // in one folder
inline constexpr size_t kMaxRegoYamlNodes = 4'000'000;             // aliases counted as what they stand for

// Names, outbound HTTP and HTTP servers of our own (net/)
inline constexpr size_t kMaxResolverThreads = 4;
inline constexpr size_t kMaxResolvedAddresses = 16;                 // of one name
inline constexpr size_t kMaxFetchBytes = 4 * 1024 * 1024;           // a response's body
inline constexpr size_t kMaxHttpRequestBytes = 4 * 1024 * 1024;     // a request's body
inline constexpr size_t kMaxHttpConnections = 1024;                 // of one server

// Guard (src/guard)
inline constexpr size_t kMaxGuardSliceBytes = 4096;                // one step of a stream
inline constexpr size_t kMaxGuardHoldBytes = 4096;                 // held back before it is settled by force
inline constexpr size_t kMaxGuardTokenBytes = 2048;                // a run without white space is settled in such pieces
inline constexpr size_t kMaxGuardChainBytes = 160;                 // tokens that may be one number
inline constexpr size_t kMaxGuardRunBytes = 2048;                  // a stretch that is read again in another view
inline constexpr size_t kMaxGuardViewDepth = 2;                    // views of views
inline constexpr size_t kMaxGuardFindings = 256;                   // kept a scan; actions of further ones still count
inline constexpr size_t kMaxGuardDatabaseBytes = 64 * 1024 * 1024; // a cached pattern database
inline constexpr size_t kMaxGuardPemBytes = 16 * 1024;             // a private key block
inline constexpr size_t kMaxGuardPlaceholders = 65'536;            // of one session's vault
inline constexpr size_t kMaxGuardPlaceholderBytes = 64;
inline constexpr size_t kMaxGuardShingles = 65'536;              // of a system prompt
inline constexpr size_t kMaxGuardNames = 262'144;                // hosts and packages that a session has seen

}  // namespace hexr::limits
