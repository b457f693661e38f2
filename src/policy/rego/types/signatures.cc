// What built-ins take and give, in a small notation: n number, s string, b boolean, z null, a anything, (x|y) either,
// [x,y;z] an array that begins with x and y and goes on with z, <x> a set, {k:x;s:y} an object with the member k and
// others, name=x an argument with a name, * any number of further arguments. Facts of OPA 1.18's capabilities.
#include <algorithm>
#include <iterator>

#include "policy/rego/types/type.h"

namespace hexr::rego {
namespace {

struct Signature {
  std::string_view name, text;
};
constexpr Signature kSignatures[] = {
    {"abs", "x=n -> y=n"},
    {"all", "([;a]|<a>) -> b"},
    {"and", "x=<a> y=<a> -> z=<a>"},
    {"any", "([;a]|<a>) -> b"},
    {"array.concat", "x=[;a] y=[;a] -> z=[;a]"},
    {"array.flatten", "arr=[;a] -> flattened=[;a]"},
    {"array.reverse", "arr=[;a] -> rev=[;a]"},
    {"array.slice", "arr=[;a] start=n stop=n -> slice=[;a]"},
    {"assign", "a a -> b"},
    {"base64.decode", "x=s -> y=s"},
    {"base64.encode", "x=s -> y=s"},
    {"base64.is_valid", "x=s -> result=b"},
    {"base64url.decode", "x=s -> y=s"},
    {"base64url.encode", "x=s -> y=s"},
    {"base64url.encode_no_pad", "x=s -> y=s"},
    {"bits.and", "x=n y=n -> z=n"},
    {"bits.lsh", "x=n s=n -> z=n"},
    {"bits.negate", "x=n -> z=n"},
    {"bits.or", "x=n y=n -> z=n"},
    {"bits.rsh", "x=n s=n -> z=n"},
    {"bits.xor", "x=n y=n -> z=n"},
    {"cast_array", "a -> [;a]"},
    {"cast_boolean", "a -> b"},
    {"cast_null", "a -> z"},
    {"cast_object", "a -> {;a:a}"},
    {"cast_set", "a -> <a>"},
    {"cast_string", "a -> s"},
    {"ceil", "x=n -> y=n"},
    {"concat", "delimiter=s collection=([;s]|<s>) -> output=s"},
    {"contains", "haystack=s needle=s -> result=b"},
    {"count", "collection=(s|[;a]|{;a:a}|<a>) -> n=n"},
    {"crypto.hmac.equal", "mac1=s mac2=s -> result=b"},
    {"crypto.hmac.md5", "x=s key=s -> y=s"},
    {"crypto.hmac.sha1", "x=s key=s -> y=s"},
    {"crypto.hmac.sha256", "x=s key=s -> y=s"},
    {"crypto.hmac.sha512", "x=s key=s -> y=s"},
    {"crypto.md5", "x=s -> y=s"},
    {"crypto.parse_private_keys", "keys=s -> output=[;{;s:a}]"},
    {"crypto.sha1", "x=s -> y=s"},
    {"crypto.sha256", "x=s -> y=s"},
    {"crypto.x509.parse_and_verify_certificates", "certs=s -> output=[b,[;{;s:a}]]"},
    {"crypto.x509.parse_and_verify_certificates_with_options", "certs=s options={;s:a} -> output=[b,[;{;s:a}]]"},
    {"crypto.x509.parse_certificate_request", "csr=s -> output={;s:a}"},
    {"crypto.x509.parse_certificates", "certs=s -> output=[;{;s:a}]"},
    {"crypto.x509.parse_keypair", "cert=s pem=s -> output={;s:a}"},
    {"crypto.x509.parse_rsa_private_key", "pem=s -> output={;s:a}"},
    {"div", "x=n y=n -> z=n"},
    {"endswith", "search=s base=s -> result=b"},
    {"eq", "a a -> b"},
    {"equal", "x=a y=a -> result=b"},
    {"floor", "x=n -> y=n"},
    {"format_int", "number=n base=n -> output=s"},
    {"glob.match", "pattern=s delimiters=(z|[;s]) match=s -> result=b"},
    {"glob.quote_meta", "pattern=s -> output=s"},
    {"graph.reachable", "graph={;a:([;a]|<a>)} initial=([;a]|<a>) -> output=<a>"},
    {"graph.reachable_paths", "graph={;a:([;a]|<a>)} initial=([;a]|<a>) -> output=<[;a]>"},
    {"graphql.is_valid", "query=(s|{;a:a}) schema=(s|{;a:a}) -> output=b"},
    {"graphql.parse", "query=(s|{;a:a}) schema=(s|{;a:a}) -> output=[{;a:a},{;a:a}]"},
    {"graphql.parse_and_verify", "query=(s|{;a:a}) schema=(s|{;a:a}) -> output=[b,{;a:a},{;a:a}]"},
    {"graphql.parse_query", "query=s -> output={;a:a}"},
    {"graphql.parse_schema", "schema=s -> output={;a:a}"},
    {"graphql.schema_is_valid", "schema=(s|{;a:a}) -> output=b"},
    {"gt", "x=a y=a -> result=b"},
    {"gte", "x=a y=a -> result=b"},
    {"hex.decode", "x=s -> y=s"},
    {"hex.encode", "x=s -> y=s"},
    {"http.send", "request={;s:a} -> response={;a:a}"},
    {"indexof", "haystack=s needle=s -> output=n"},
    {"indexof_n", "haystack=s needle=s -> output=[;n]"},
    {"internal.member_2", "a a -> b"},
    {"internal.member_3", "a a a -> b"},
    {"internal.print", "[;<a>]"},
    {"internal.template_string", "[;a] -> s"},
    {"internal.test_case", "[;a]"},
    {"intersection", "xs=<<a>> -> y=<a>"},
    {"io.jwt.decode", "jwt=s -> output=[{;a:a},{;a:a},s]"},
    {"io.jwt.decode_verify", "jwt=s constraints={;s:a} -> output=[b,{;a:a},{;a:a}]"},
    {"io.jwt.encode_sign", "headers={;s:a} payload={;s:a} key={;s:a} -> output=s"},
    {"io.jwt.encode_sign_raw", "headers=s payload=s key=s -> output=s"},
    {"io.jwt.verify_eddsa", "jwt=s certificate=s -> result=b"},
    {"io.jwt.verify_es256", "jwt=s certificate=s -> result=b"},
    {"io.jwt.verify_es384", "jwt=s certificate=s -> result=b"},
    {"io.jwt.verify_es512", "jwt=s certificate=s -> result=b"},
    {"io.jwt.verify_hs256", "jwt=s secret=s -> result=b"},
    {"io.jwt.verify_hs384", "jwt=s secret=s -> result=b"},
    {"io.jwt.verify_hs512", "jwt=s secret=s -> result=b"},
    {"io.jwt.verify_ps256", "jwt=s certificate=s -> result=b"},
    {"io.jwt.verify_ps384", "jwt=s certificate=s -> result=b"},
    {"io.jwt.verify_ps512", "jwt=s certificate=s -> result=b"},
    {"io.jwt.verify_rs256", "jwt=s certificate=s -> result=b"},
    {"io.jwt.verify_rs384", "jwt=s certificate=s -> result=b"},
    {"io.jwt.verify_rs512", "jwt=s certificate=s -> result=b"},
    {"is_array", "x=a -> result=b"},
    {"is_boolean", "x=a -> result=b"},
    {"is_null", "x=a -> result=b"},
    {"is_number", "x=a -> result=b"},
    {"is_object", "x=a -> result=b"},
    {"is_set", "x=a -> result=b"},
    {"is_string", "x=a -> result=b"},
    {"json.filter", "object={;a:a} paths=([;(s|[;a])]|<(s|[;a])>) -> filtered=a"},
    {"json.is_valid", "x=s -> result=b"},
    {"json.marshal", "x=a -> y=s"},
    {"json.marshal_with_options", "x=a opts={indent:s,prefix:s,pretty:b;s:a} -> y=s"},
    {"json.match_schema", "document=(s|{;a:a}) schema=(s|{;a:a}) -> output=[b,[;{desc:s,error:s,field:s,type:s}]]"},
    {"json.patch", "target=a patches=[;{op:s,path:a;a:a}] -> output=a"},
    {"json.remove", "object={;a:a} paths=([;(s|[;a])]|<(s|[;a])>) -> output=a"},
    {"json.unmarshal", "x=s -> y=a"},
    {"json.verify_schema", "schema=(s|{;a:a}) -> output=[b,(z|s)]"},
    {"lower", "x=s -> y=s"},
    {"lt", "x=a y=a -> result=b"},
    {"lte", "x=a y=a -> result=b"},
    {"max", "collection=([;a]|<a>) -> n=a"},
    {"min", "collection=([;a]|<a>) -> n=a"},
    {"minus", "x=(n|<a>) y=(n|<a>) -> z=(n|<a>)"},
    {"mul", "x=n y=n -> z=n"},
    {"neq", "x=a y=a -> result=b"},
    {"net.cidr_contains", "cidr=s cidr_or_ip=s -> result=b"},
    {"net.cidr_contains_matches",
     "cidrs=(s|[;(s|[;a])]|{;s:(s|[;a])}|<(s|[;a])>) cidrs_or_ips=(s|[;(s|[;a])]|{;s:(s|[;a])}|<(s|[;a])>) -> "
     "output=<[a,a]>"},
    {"net.cidr_expand", "cidr=s -> hosts=<s>"},
    {"net.cidr_intersects", "cidr1=s cidr2=s -> result=b"},
    {"net.cidr_is_valid", "cidr=s -> result=b"},
    {"net.cidr_merge", "addrs=([;(s)]|<s>) -> output=<s>"},
    {"net.cidr_overlap", "s s -> b"},
    {"net.lookup_ip_addr", "name=s -> addrs=<s>"},
    {"numbers.range", "a=n b=n -> range=[;n]"},
    {"numbers.range_step", "a=n b=n step=n -> range=[;n]"},
    {"object.filter", "object={;a:a} keys=([;a]|{;a:a}|<a>) -> filtered=a"},
    {"object.get", "object={;a:a} key=a default=a -> value=a"},
    {"object.keys", "object={;a:a} -> value=<a>"},
    {"object.remove", "object={;a:a} keys=([;a]|{;a:a}|<a>) -> output=a"},
    {"object.subset", "super=([;a]|{;a:a}|<a>) sub=([;a]|{;a:a}|<a>) -> result=a"},
    {"object.union", "a={;a:a} b={;a:a} -> output=a"},
    {"object.union_n", "objects=[;{;a:a}] -> output=a"},
    {"opa.runtime", "-> output={;s:a}"},
    {"or", "x=<a> y=<a> -> z=<a>"},
    {"plus", "x=n y=n -> z=n"},
    {"print", "*"},
    {"product", "collection=([;n]|<n>) -> n=n"},
    {"providers.aws.sign_req", "request={;s:a} aws_config={;s:a} time_ns=n -> signed_request={;a:a}"},
    {"rand.intn", "str=s n=n -> y=n"},
    {"re_match", "s s -> b"},
    {"regex.find_all_string_submatch_n", "pattern=s value=s number=n -> output=[;[;s]]"},
    {"regex.find_n", "pattern=s value=s number=n -> output=[;s]"},
    {"regex.globs_match", "glob1=s glob2=s -> result=b"},
    {"regex.is_valid", "pattern=s -> result=b"},
    {"regex.match", "pattern=s value=s -> result=b"},
    {"regex.replace", "s=s pattern=s value=s -> output=s"},
    {"regex.split", "pattern=s value=s -> output=[;s]"},
    {"regex.template_match", "template=s value=s delimiter_start=s delimiter_end=s -> result=b"},
    {"rego.metadata.chain", "-> chain=[;a]"},
    {"rego.metadata.rule", "-> output=a"},
    {"rego.parse_module", "filename=s rego=s -> output={;s:a}"},
    {"rem", "x=n y=n -> z=n"},
    {"replace", "x=s old=s new=s -> y=s"},
    {"round", "x=n -> y=n"},
    {"semver.compare", "a=s b=s -> result=n"},
    {"semver.is_valid", "vsn=a -> result=b"},
    {"set_diff", "<a> <a> -> <a>"},
    {"sort", "collection=([;a]|<a>) -> n=[;a]"},
    {"split", "x=s delimiter=s -> ys=[;s]"},
    {"sprintf", "format=s values=[;a] -> output=s"},
    {"startswith", "search=s base=s -> result=b"},
    {"strings.any_prefix_match", "search=(s|[;s]|<s>) base=(s|[;s]|<s>) -> result=b"},
    {"strings.any_suffix_match", "search=(s|[;s]|<s>) base=(s|[;s]|<s>) -> result=b"},
    {"strings.count", "search=s substring=s -> output=n"},
    {"strings.render_template", "value=s vars={;s:a} -> result=s"},
    {"strings.replace_n", "patterns={;s:s} value=s -> output=s"},
    {"strings.reverse", "x=s -> y=s"},
    {"substring", "value=s offset=n length=n -> output=s"},
    {"sum", "collection=([;n]|<n>) -> n=n"},
    {"time.add_date", "ns=n years=n months=n days=n -> output=n"},
    {"time.clock", "x=(n|[n,s]) -> output=[n,n,n]"},
    {"time.date", "x=(n|[n,s]) -> date=[n,n,n]"},
    {"time.diff", "ns1=(n|[n,s]) ns2=(n|[n,s]) -> output=[n,n,n,n,n,n]"},
    {"time.format", "x=(n|[n,s]|[n,s,s]) -> formatted_timestamp=s"},
    {"time.now_ns", "-> now=n"},
    {"time.parse_duration_ns", "duration=s -> ns=n"},
    {"time.parse_ns", "layout=s value=s -> ns=n"},
    {"time.parse_rfc3339_ns", "value=s -> ns=n"},
    {"time.weekday", "x=(n|[n,s]) -> day=s"},
    {"to_number", "x=(z|b|n|s) -> num=n"},
    {"trace", "note=s -> result=b"},
    {"trim", "value=s cutset=s -> output=s"},
    {"trim_left", "value=s cutset=s -> output=s"},
    {"trim_prefix", "value=s prefix=s -> output=s"},
    {"trim_right", "value=s cutset=s -> output=s"},
    {"trim_space", "value=s -> output=s"},
    {"trim_suffix", "value=s suffix=s -> output=s"},
    {"type_name", "x=a -> type=s"},
    {"union", "xs=<<a>> -> y=<a>"},
    {"units.parse", "x=s -> y=n"},
    {"units.parse_bytes", "x=s -> y=n"},
    {"upper", "x=s -> y=s"},
    {"uri.is_valid", "uri=s -> result=b"},
    {"uri.parse", "uri=s -> output={;s:s}"},
    {"urlquery.decode", "x=s -> y=s"},
    {"urlquery.decode_object", "x=s -> object={;s:[;s]}"},
    {"urlquery.encode", "x=s -> y=s"},
    {"urlquery.encode_object", "object={;s:(s|[;s]|<s>)} -> y=s"},
    {"uuid.parse", "uuid=s -> result={;s:a}"},
    {"uuid.rfc4122", "k=s -> output=s"},
    {"walk", "x=a -> output=[[;a],a]"},
    {"yaml.is_valid", "x=s -> result=b"},
    {"yaml.marshal", "x=a -> y=s"},
    {"yaml.unmarshal", "x=s -> y=a"},
};

class SignatureReader {
 public:
  SignatureReader(TypePool& pool, std::string_view text) : pool_(pool), s_(text) {}

  const Type* Function() {
    Type f{.kind = Type::Kind::kFunction};
    while (!s_.empty() && !s_.starts_with("->")) {
      if (Take('*')) {
        f.variadic = true;
      } else if (!Take(' ')) {
        f.names.push_back(Name());
        f.items.push_back(One());
      }
    }
    if (s_.starts_with("-> ")) {
      s_.remove_prefix(3);
      f.names.resize(f.items.size());
      f.names.push_back(Name());
      f.rest = One();
    }
    return pool_.Make(std::move(f));
  }

 private:
  bool Take(char c) {
    if (s_.empty() || s_[0] != c) return false;
    s_.remove_prefix(1);
    return true;
  }
  // "x" of "x=n"; "" when there is none.
  std::string Name() {
    const size_t end = s_.find_first_of("= [(<{");
    if (end == std::string_view::npos || s_[end] != '=') return "";
    std::string name(s_.substr(0, end));
    s_.remove_prefix(end + 1);
    return name;
  }
  const Type* One() {
    const char c = s_.empty() ? 'a' : s_[0];
    s_.remove_prefix(s_.empty() ? 0 : 1);
    switch (c) {
      case 'n': return pool_.Number();
      case 's': return pool_.String();
      case 'b': return pool_.Bool();
      case 'z': return pool_.Null();
      case '(': return Either();
      case '[': return Array();
      case '<': {
        const Type* of = One();
        Take('>');
        return pool_.SetOf(of);
      }
      case '{': return Object();
      default: return pool_.Any();
    }
  }
  const Type* Either() {
    Type t{.kind = Type::Kind::kAny};
    do t.items.push_back(One());
    while (Take('|'));
    Take(')');
    return pool_.Make(std::move(t));
  }
  const Type* Array() {
    Type t{.kind = Type::Kind::kArray};
    while (!Take(']')) {
      if (Take(';'))
        t.rest = One();
      else if (!Take(','))
        t.items.push_back(One());
    }
    return pool_.Make(std::move(t));
  }
  const Type* Object() {
    Type t{.kind = Type::Kind::kObject};
    while (!Take('}')) {
      if (Take(';')) {
        t.key = One();
        Take(':');
        t.rest = One();
      } else if (!Take(',')) {
        const size_t colon = s_.find(':');
        std::string name = "\"" + std::string(s_.substr(0, colon)) + "\"";
        s_.remove_prefix(colon + 1);
        t.members.emplace_back(std::move(name), One());
      }
    }
    return pool_.Make(std::move(t));
  }

  TypePool& pool_;
  std::string_view s_;
};

}  // namespace

const Type* SignatureOf(TypePool& pool, std::string_view builtin) {
  const auto* it = std::lower_bound(std::begin(kSignatures), std::end(kSignatures), builtin,
                                    [](const Signature& s, std::string_view name) { return s.name < name; });
  if (it == std::end(kSignatures) || it->name != builtin) return nullptr;
  return SignatureReader(pool, it->text).Function();
}

}  // namespace hexr::rego
