// Certificates made by OpenSSL's API, in memory and in files: a CA, and what it signs. For tests only.
#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

namespace pgweir::net {

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct FreeX509 {
  void operator()(X509* certificate) const { X509_free(certificate); }
};

struct Identity {
  std::unique_ptr<EVP_PKEY, FreeKey> key;
  std::unique_ptr<X509, FreeX509> certificate;
  std::string cert_file;
  std::string key_file;
};

// A folder of certificates that removes itself.
class Certificates {
 public:
  Certificates() {
    char name[] = "/tmp/pgweir-tls-XXXXXX";
    folder_ = mkdtemp(name);
  }
  ~Certificates() { (void)!std::system(("rm -rf " + folder_).c_str()); }

  // `alternative`: "DNS:a,IP:1.2.3.4" or "". Signed by `issuer`, by itself without one.
  Identity make(const std::string& common_name, const std::string& alternative, const Identity* issuer,
                long days = 10) {
    Identity made;
    made.key.reset(EVP_EC_gen("P-256"));
    made.certificate.reset(X509_new());
    X509* certificate = made.certificate.get();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial_);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -86400 * 20);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 86400 * days);
    X509_set_pubkey(certificate, made.key.get());
    X509_NAME* subject = X509_get_subject_name(certificate);
    if (!common_name.empty())
      X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(common_name.data()),
                                 static_cast<int>(common_name.size()), -1, 0);
    X509_set_issuer_name(certificate, issuer ? X509_get_subject_name(issuer->certificate.get()) : subject);
    add(certificate, NID_basic_constraints, issuer ? "CA:FALSE" : "critical,CA:TRUE");
    if (!alternative.empty()) add(certificate, NID_subject_alt_name, alternative.c_str());
    X509_sign(certificate, issuer ? issuer->key.get() : made.key.get(), EVP_sha256());
    store(made);
    return made;
  }

  const std::string& folder() const { return folder_; }

 private:
  static void add(X509* certificate, int nid, const char* value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }
  void store(Identity& made) {
    std::string base = folder_ + "/" + std::to_string(serial_);
    made.cert_file = base + ".crt";
    made.key_file = base + ".key";
    FILE* file = std::fopen(made.cert_file.c_str(), "w");
    PEM_write_X509(file, made.certificate.get());
    std::fclose(file);
    file = std::fopen(made.key_file.c_str(), "w");
    PEM_write_PrivateKey(file, made.key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    std::fclose(file);
  }
  std::string folder_;
  long serial_ = 0;
};

}  // namespace pgweir::net
