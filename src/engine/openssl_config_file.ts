/**
 * Checks whether OpenSSL follows a configuration file. OpenSSL ignores a file that it cannot read, and version 3.0 also a
 * provider that it cannot load, and reports neither: algorithms would then come from other providers than requested.
 *
 * Off the data path: it runs once, at start.
 *
 * @module
 */
import { conf } from "../../ffi/libcrypto_conf.ts";
import { libcrypto } from "../../ffi/libcrypto.ts";
import { cString } from "./openssl.ts";
import { opensslErrors } from "./openssl_errors.ts";

/** `CONF_VALUE`: pointers to a section's name, a setting's name and its value. */
const CONF_VALUE_NAME_OFFSET = 8;
const CONF_VALUE_VALUE_OFFSET = 16;
/** Values of `activate` and `soft_load` that mean no, since OpenSSL 3.2; before, all mean yes. */
const NO = /^(0|no|false|off)$/i;

type Settings = ReadonlyMap<string, string>;

function textAt(address: bigint): string {
  const pointer = Deno.UnsafePointer.create(address);
  return pointer === null ? "" : Deno.UnsafePointerView.getCString(pointer);
}

/** The settings of `section` of the file that is loaded as `file`; undefined if there is no such section. */
function settingsOf(file: bigint, section: string): Settings | undefined {
  const values = conf.NCONF_get_section(file, cString(section));
  if (values === 0n) return undefined;
  const settings = new Map<string, string>();
  for (let i = 0; i < conf.OPENSSL_sk_num(values); i++) {
    const view = new Deno.UnsafePointerView(Deno.UnsafePointer.create(conf.OPENSSL_sk_value(values, i))!);
    settings.set(
      textAt(view.getBigUint64(CONF_VALUE_NAME_OFFSET)),
      textAt(view.getBigUint64(CONF_VALUE_VALUE_OFFSET)),
    );
  }
  return settings;
}

/** The reason why the provider `name` does not serve as the settings of `section` demand; undefined if it does. */
function providerProblem(file: bigint, name: string, section: string): string | undefined {
  const settings = settingsOf(file, section);
  if (settings === undefined) return noSection(section, name);
  const activate = settings.get("activate");
  const isOptional = !NO.test(settings.get("soft_load") ?? "no");
  if (activate === undefined || NO.test(activate) || isOptional) return undefined;
  // As OpenSSL has it: what stands before a dot only makes the names of settings differ.
  const provider = settings.get("identity") ?? name.slice(name.indexOf(".") + 1);
  if (libcrypto.OSSL_PROVIDER_available(0n, cString(provider)) === 1) return undefined;
  return `it activates the provider ${provider}, which OpenSSL cannot load or which fails its self-test`;
}

function noSection(section: string, setting: string): string {
  return `it has no section [${section}], which its setting ${setting} names`;
}

/** The reason why the active providers differ from the section `main`; undefined if they do not. */
function providersProblem(file: bigint, main: string): string | undefined {
  const settings = settingsOf(file, main);
  if (settings === undefined) return noSection(main, "openssl_conf");
  const section = settings.get("providers");
  if (section === undefined) return undefined;
  const providers = settingsOf(file, section);
  if (providers === undefined) return noSection(section, "providers");
  const problems = [...providers].map(([name, own]) => providerProblem(file, name, own));
  return problems.find((problem) => problem !== undefined);
}

/** The problem with the file `name`: with all of it, or, if it need not configure anything, with its providers. */
function problemOf(name: string, mustConfigure: boolean): string | undefined {
  const file = conf.NCONF_new(0n);
  libcrypto.ERR_clear_error();
  const isLoaded = conf.NCONF_load(file, cString(name), 0n) === 1;
  const reasons = opensslErrors();
  const main = isLoaded ? settingsOf(file, "default")?.get("openssl_conf") : undefined;
  const problem = main !== undefined
    ? providersProblem(file, main)
    : !mustConfigure
    ? undefined
    : isLoaded
    ? "it has no setting openssl_conf, so OpenSSL uses nothing of it"
    : reasons ?? "OpenSSL gives no reason";
  conf.NCONF_free(file);
  libcrypto.ERR_clear_error();
  return problem;
}

/** The reason why OpenSSL, which has loaded the configuration file `name`, does not follow it; undefined if it does. */
export function configFileProblem(name: string): string | undefined {
  return problemOf(name, true);
}

/**
 * Why OpenSSL, which has loaded its configuration, does not do what the file says that it uses by itself or that the
 * environment variable OPENSSL_CONF names: a sentence for people. Undefined if it does, or if nothing was asked for.
 */
export function defaultConfigProblem(): string | undefined {
  const address = conf.CONF_get1_default_config_file();
  const name = textAt(address);
  conf.CRYPTO_free(address, 0n, 0);
  // An empty OPENSSL_CONF stands for no configuration.
  if (name === "") return undefined;
  // A host without OpenSSL's own file, or with one that configures nothing, is a usual one.
  const isNamed = name !== `${textAt(conf.X509_get_default_cert_area())}/openssl.cnf`;
  const problem = problemOf(name, isNamed);
  if (problem === undefined) return undefined;
  return isNamed
    ? `OpenSSL does not use the configuration file ${name} of the environment variable OPENSSL_CONF as it is ` +
      `(${problem}): correct the variable or the file`
    : `OpenSSL does not do what its configuration file ${name} says (${problem}): correct the file`;
}
