/**
 * Turns the shipped sources into code that one thread can run as many: every function that may come
 * to an operation of `Atomics`, a file or an `await` becomes a generator, which hands the control to
 * the scheduler there. Nothing else changes: the simulator runs the database as it ships.
 *
 * What is turned (the rest stays plain):
 *
 * | in the source | in what runs |
 * |---|---|
 * | `f(x)`, where `f` may pause | `(yield* f(x))` |
 * | `f(x)`, `f` a parameter or of an interface | the same if it returns a generator |
 * | `Atomics.load(…)` and the like | the value, then perhaps a pause |
 * | `o.p`, where the getter may pause | `(yield* o.$get_p())` |
 * | `new C(x)`, where the constructor may pause | `(yield* new C().$init(x))` |
 * | `async` function | a task of the simulated thread (tasks.ts); `await p` pauses it |
 *
 * Code that the language itself calls (accessors, iterators, initializers, callbacks of built-in
 * functions) cannot pause: it runs through, and fails if it would have to wait.
 *
 * @module
 */

import ts from "typescript";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Compiled modules by path: bodies of functions of (exports, require, and the simulated globals). */
export type Modules = ReadonlyMap<string, string>;

/** A piece of a source that is replaced before it is compiled; it must occur exactly once. */
export interface Patch {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

export const ROOT: string = fileURLToPath(new URL("../../", import.meta.url));

/** Not turned: what stands for the system, which the simulator replaces, and what only computes. */
const OUTSIDE = ["lib/runtime/", "lib/storage/checksum.ts"];

/** Methods that the language calls, so that nobody could drive a generator. */
const CALLED_BY_LANGUAGE = new Set(["next", "return", "throw", "toJSON", "toString", "valueOf"]);

/** Globals that take callbacks and are simulated: these callbacks may pause. */
const SIMULATED = new Set(["Promise", "PromiseConstructor", "queueMicrotask", "setTimeout"]);

/** Methods of arrays that are done by hand when their callback may pause. */
const ARRAY_METHODS = new Set(["forEach", "map", "filter", "some", "every", "find", "reduce"]);

type Body = ts.FunctionLikeDeclaration;

/** Compiles the modules that `entries` (paths in the repository) import. */
export function build(entries: readonly string[], patches: readonly Patch[] = []): Modules {
  return new Build(entries, patches).run();
}

class Build {
  readonly #program: ts.Program;
  readonly #checker: ts.TypeChecker;
  readonly #files: ts.SourceFile[];
  /** Functions that may pause. */
  readonly #pausing = new Set<ts.Node>();
  /** Who calls whom, backwards. */
  readonly #callers = new Map<ts.Node, Set<Body>>();

  constructor(entries: readonly string[], patches: readonly Patch[]) {
    const options: ts.CompilerOptions = {
      target: ts.ScriptTarget.ESNext,
      module: ts.ModuleKind.ESNext,
      moduleResolution: ts.ModuleResolutionKind.Bundler,
      allowImportingTsExtensions: true,
      noEmit: true,
      strict: true,
      skipLibCheck: true,
      types: [],
      lib: ["lib.esnext.d.ts", "lib.dom.d.ts"],
    };
    const host = ts.createCompilerHost(options);
    const read = host.readFile.bind(host);
    const sources = new Map<string, string>();
    for (const { file, from, to } of patches) {
      const path = join(ROOT, file);
      const source = sources.get(path) ?? readFileSync(path, "utf8");
      if (source.split(from).length !== 2) {
        throw new Error(`a patch of ${file} must fit exactly once: ${from}`);
      }
      sources.set(path, source.replace(from, () => to));
    }
    host.readFile = (path) => sources.get(path) ?? read(path);
    this.#program = ts.createProgram(entries.map((file) => join(ROOT, file)), options, host);
    this.#checker = this.#program.getTypeChecker();
    this.#files = this.#program.getSourceFiles().filter((file) => this.#isInside(file));
  }

  run(): Modules {
    for (const file of this.#files) this.#survey(file);
    this.#spread();
    const modules = new Map<string, string>();
    for (const file of this.#files) {
      const turned = new Rendering(file, this).render();
      const { outputText } = ts.transpileModule(turned, {
        compilerOptions: {
          target: ts.ScriptTarget.ESNext,
          module: ts.ModuleKind.CommonJS,
          verbatimModuleSyntax: false,
        },
        fileName: file.fileName,
      });
      modules.set(file.fileName.slice(ROOT.length), outputText);
    }
    return modules;
  }

  #isInside(file: ts.SourceFile): boolean {
    if (file.isDeclarationFile || !file.fileName.startsWith(ROOT)) return false;
    const path = file.fileName.slice(ROOT.length);
    return !path.startsWith("node_modules/") && !OUTSIDE.some((one) => path.startsWith(one));
  }

  mayPause(body: ts.Node): boolean {
    return this.#pausing.has(body);
  }

  /** Finds the functions that pause by themselves, and who calls whom. */
  #survey(file: ts.SourceFile): void {
    const visit = (node: ts.Node, inside: Body | undefined): void => {
      if (isBody(node)) {
        if (isAsync(node)) this.#pausing.add(node);
        if (inside !== undefined && this.arrayMethod(node.parent) !== undefined) {
          this.#addCaller(node, inside);
        }
        if (ts.isMethodDeclaration(node)) this.#linkOverrides(node);
        inside = node;
      } else if (ts.isPropertyDeclaration(node) || ts.isClassStaticBlockDeclaration(node)) {
        inside = undefined;
      }
      const callee = this.callee(node);
      if (inside !== undefined && callee !== undefined) {
        if (callee === "atomic" || callee === "unknown") this.#pausing.add(inside);
        else if (callee !== "plain") this.#addCaller(callee, inside);
      }
      ts.forEachChild(node, (child) => visit(child, inside));
    };
    visit(file, undefined);
  }

  #addCaller(callee: ts.Node, caller: Body): void {
    const callers = this.#callers.get(callee);
    if (callers === undefined) this.#callers.set(callee, new Set([caller]));
    else callers.add(caller);
  }

  /** A method and the one that it overrides are called alike. */
  #linkOverrides(method: ts.MethodDeclaration): void {
    const owner = method.parent;
    if (!ts.isClassDeclaration(owner) || !ts.isIdentifier(method.name)) return;
    for (const clause of owner.heritageClauses ?? []) {
      if (clause.token !== ts.SyntaxKind.ExtendsKeyword) continue;
      const base = this.#checker.getTypeAtLocation(clause.types[0]);
      const overridden = base.getProperty(method.name.text)?.valueDeclaration;
      if (overridden === undefined || !isBody(overridden)) continue;
      this.#addCaller(overridden, method);
      this.#addCaller(method, overridden);
    }
  }

  #spread(): void {
    const queue = [...this.#pausing];
    for (let node = queue.pop(); node !== undefined; node = queue.pop()) {
      if (isBody(node) && this.mustBePlain(node)) {
        this.#pausing.delete(node);
        continue;
      }
      for (const caller of this.#callers.get(node) ?? []) {
        if (this.#pausing.has(caller)) continue;
        this.#pausing.add(caller);
        queue.push(caller);
      }
    }
  }

  /** Whether the language, or a built-in function, calls it. */
  mustBePlain(body: Body): boolean {
    if (ts.isSetAccessor(body)) return true;
    if (body.asteriskToken !== undefined) return !isSteps(body);
    if (ts.isConstructorDeclaration(body)) {
      const { heritageClauses } = body.parent as ts.ClassDeclaration;
      return heritageClauses?.some((one) => one.token === ts.SyntaxKind.ExtendsKeyword) ?? false;
    }
    if (ts.isMethodDeclaration(body)) {
      if (ts.isComputedPropertyName(body.name)) return !isAsync(body);
      return CALLED_BY_LANGUAGE.has(body.name.getText());
    }
    if (ts.isArrowFunction(body) || ts.isFunctionExpression(body)) {
      const { parent } = body;
      if (!ts.isCallExpression(parent) && !ts.isNewExpression(parent)) return false;
      if (parent.expression === body || this.arrayMethod(parent) !== undefined) return false;
      return this.#isBuiltIn(parent);
    }
    return false;
  }

  /** Which method of an array a node calls, and the function that is given to it. */
  arrayMethod(node: ts.Node): { name: string; callback: Body } | undefined {
    if (!ts.isCallExpression(node) || !ts.isPropertyAccessExpression(node.expression)) {
      return undefined;
    }
    const name = node.expression.name.text;
    const [callback] = node.arguments;
    if (!ARRAY_METHODS.has(name) || callback === undefined || !ts.isArrowFunction(callback)) {
      return undefined;
    }
    return this.#isBuiltIn(node) ? { name, callback } : undefined;
  }

  #isBuiltIn(call: ts.CallExpression | ts.NewExpression): boolean {
    const declaration = this.#checker.getResolvedSignature(call)?.declaration;
    if (declaration === undefined) return false;
    const file = declaration.getSourceFile();
    if (!file.isDeclarationFile) return false;
    const { parent } = declaration;
    const owner = ts.isInterfaceDeclaration(parent) ? parent.name.text : "";
    const name = (declaration as { name?: ts.Node }).name?.getText() ?? "";
    return !SIMULATED.has(owner) && !SIMULATED.has(name);
  }

  /**
   * What a node calls: a function of the project, an operation on shared memory, something that is known only
   * when it runs, or nothing that could pause. Undefined if the node is no call.
   */
  callee(node: ts.Node): ts.Node | "atomic" | "unknown" | "plain" | undefined {
    if (ts.isAwaitExpression(node)) return "atomic";
    if (ts.isCallExpression(node)) {
      const { expression } = node;
      if (expression.kind === ts.SyntaxKind.SuperKeyword) return "plain";
      if (isAtomics(expression)) {
        return expression.name.text === "wait" ? "unknown" : "atomic";
      }
    } else if (ts.isNewExpression(node)) {
      if (ts.isIdentifier(node.expression) && node.expression.text === "Promise") return "unknown";
    } else if (ts.isPropertyAccessExpression(node)) {
      const getter = this.#checker.getSymbolAtLocation(node.name)?.declarations
        ?.find(ts.isGetAccessorDeclaration);
      if (getter === undefined || !this.#isInside(getter.getSourceFile())) return undefined;
      return getter;
    } else {
      return undefined;
    }
    const signature = this.#checker.getResolvedSignature(node as ts.CallExpression);
    const declaration = signature?.declaration;
    if (declaration === undefined) return ts.isNewExpression(node) ? "plain" : "unknown";
    const file = declaration.getSourceFile();
    if (!this.#isInside(file)) {
      const outside = file.fileName.startsWith(ROOT) && !file.fileName.includes("node_modules");
      return outside && !ts.isNewExpression(node) ? "unknown" : "plain";
    }
    if (isBody(declaration)) {
      if (declaration.asteriskToken !== undefined) return "plain";
      if (declaration.body === undefined) return this.#implementation(declaration) ?? "unknown";
      return declaration;
    }
    return ts.isNewExpression(node) ? "plain" : "unknown";
  }

  /** The body of an overloaded function. */
  #implementation(declaration: Body): ts.Node | undefined {
    const symbol = declaration.name && this.#checker.getSymbolAtLocation(declaration.name);
    return symbol?.declarations?.find((one) => isBody(one) && one.body !== undefined);
  }
}

function isBody(node: ts.Node): node is Body {
  return ts.isFunctionLike(node) && "body" in node && !ts.isIndexSignatureDeclaration(node);
}

/** Whether a generator of the source only marks steps of a long work, so that its steps may be pauses, too. */
function isSteps(body: Body): boolean {
  return body.type?.getText().startsWith("Generator<void") ?? false;
}

function isAsync(node: ts.Node): boolean {
  return ts.canHaveModifiers(node) &&
    (ts.getModifiers(node)?.some((one) => one.kind === ts.SyntaxKind.AsyncKeyword) ?? false);
}

function isAtomics(node: ts.Node): node is ts.PropertyAccessExpression {
  return ts.isPropertyAccessExpression(node) && ts.isIdentifier(node.expression) &&
    node.expression.text === "Atomics";
}

/** Writes one file anew. */
class Rendering {
  readonly #file: ts.SourceFile;
  readonly #text: string;
  readonly #build: Build;
  /** Whether the innermost function may pause. */
  #pausing = false;

  constructor(file: ts.SourceFile, owner: Build) {
    this.#file = file;
    this.#text = file.text;
    this.#build = owner;
  }

  render(): string {
    return this.#node(this.#file);
  }

  /** A node with what stands before it. */
  #node(node: ts.Node): string {
    const start = node.getStart(this.#file);
    return this.#text.slice(node.pos, start) + this.#core(node);
  }

  #core(node: ts.Node): string {
    if (isBody(node) && node.body !== undefined) return this.#function(node);
    if (ts.isMetaProperty(node)) return `({ url: "file:///simulation.ts" })`;
    if (ts.isPropertyDeclaration(node) || ts.isClassStaticBlockDeclaration(node)) {
      return this.#within(false, () => this.#children(node));
    }
    if (ts.isAwaitExpression(node)) {
      return `(yield $s.awaiting(${this.#core(node.expression)}))`;
    }
    const method = this.#build.arrayMethod(node);
    if (method !== undefined && this.#build.mayPause(method.callback)) {
      return this.#overArray(node as ts.CallExpression, method.name);
    }
    const callee = this.#build.callee(node);
    if (callee === undefined || callee === "plain") return this.#children(node);
    if (ts.isPropertyAccessExpression(node)) return this.#getter(node, callee as ts.Node);
    const inner = ts.isNewExpression(node) && isIdentifierNamed(node.expression, "Promise")
      ? `$s.promise(${(node.arguments ?? []).map((one) => this.#core(one)).join(", ")})`
      : this.#children(node);
    if (callee === "atomic") {
      return this.#pausing
        ? `($t = ${inner}, $s.left-- > 0 || (yield void ($s.seen = $t)), $t)`
        : inner;
    }
    const chained = (node.flags & ts.NodeFlags.OptionalChain) !== 0;
    if (chained && isChainGoingOn(node)) throw new Error(`a chain goes on behind a call: ${inner}`);
    if (callee === "unknown" || chained) {
      return this.#pausing
        ? `($s.isPaused($t = ${inner}) ? yield* $t : $t)`
        : `$s.settle(${inner})`;
    }
    if (!this.#build.mayPause(callee)) return inner;
    if (ts.isNewExpression(node)) {
      const name = this.#core(node.expression);
      const given = (node.arguments ?? []).map((one) => this.#core(one)).join(", ");
      const made = `new (${name} as any)().$init(${given})`;
      return this.#pausing ? `(yield* ${made})` : `$s.settle(${made})`;
    }
    return this.#pausing ? `(yield* ${inner})` : `$s.settle(${inner})`;
  }

  #overArray(node: ts.CallExpression, name: string): string {
    const array = this.#core((node.expression as ts.PropertyAccessExpression).expression);
    const given = node.arguments.map((one) => this.#core(one)).join(", ");
    const walk = `$s.${name}(${array}, ${given})`;
    return this.#pausing ? `(yield* ${walk})` : `$s.settle(${walk})`;
  }

  #children(node: ts.Node): string {
    let text = "";
    let at = node.getStart(this.#file);
    ts.forEachChild(node, (child) => {
      text += this.#text.slice(at, child.pos) + this.#node(child);
      at = child.end;
    });
    return text + this.#text.slice(at, node.end);
  }

  /** A getter that may pause is a method, too, for those who may. */
  #getter(node: ts.PropertyAccessExpression, getter: ts.Node): string {
    const { parent, name } = node;
    const isTarget = ts.isBinaryExpression(parent) && parent.left === node &&
      parent.operatorToken.kind >= ts.SyntaxKind.FirstAssignment &&
      parent.operatorToken.kind <= ts.SyntaxKind.LastAssignment;
    const isChained = (node.flags & ts.NodeFlags.OptionalChain) !== 0;
    if (!this.#pausing || isTarget || isChained || !this.#build.mayPause(getter)) {
      return this.#children(node);
    }
    return `(yield* ${this.#core(node.expression)}.${getterName(name)}())`;
  }

  #within<T>(pausing: boolean, work: () => T): T {
    const before = this.#pausing;
    this.#pausing = pausing;
    try {
      return work();
    } finally {
      this.#pausing = before;
    }
  }

  #function(node: Body): string {
    const pauses = this.#build.mayPause(node) && !this.#build.mustBePlain(node);
    if (pauses && node.asteriskToken !== undefined) return this.#steps(node);
    if (pauses && ts.isGetAccessor(node)) {
      const plain = this.#within(false, () => this.#children(node));
      const body = this.#within(true, () => this.#children(node.body!).slice(1, -1));
      const comma = ts.isObjectLiteralExpression(node.parent) ? "," : "";
      return `${plain}${comma} * ${getterName(node.name)}(): any { let $t: any; ${body} }`;
    }
    return this.#within(pauses, () => pauses ? this.#generator(node) : this.#children(node));
  }

  #steps(node: Body): string {
    const body = node.body!;
    const head = this.#text.slice(node.getStart(this.#file), body.getStart(this.#file));
    const statements = this.#within(true, () => this.#children(body).slice(1, -1));
    return `${head}{ let $t: any; ${statements} }`;
  }

  #generator(node: Body): string {
    const defaults: string[] = [];
    const parameters = node.parameters.map((one) => this.#parameter(one, defaults)).join(", ");
    const body = node.body!;
    let statements = ts.isBlock(body)
      ? this.#children(body).slice(1, -1)
      : `return (${this.#core(body)});`;
    if (ts.isConstructorDeclaration(node)) return this.#initializer(node, parameters, statements);
    if (isAsync(node)) {
      statements = `return yield* $s.async((function* (this: any) { let $t: any; ` +
        `${statements} }).call(this));`;
    }
    const head = `(${parameters}): any { let $t: any; ${defaults.join(" ")} ${statements} }`;
    if (ts.isArrowFunction(node)) {
      return `(function* (this: any${comma(parameters)}${
        head.slice(1 + parameters.length)
      }).bind(this)`;
    }
    if (ts.isFunctionExpression(node)) return `(function* ${head})`;
    const name = node.name?.getText(this.#file) ?? "";
    if (ts.isFunctionDeclaration(node)) {
      const kept = modifiers(node, this.#file, ["export", "default"]);
      return `${kept}function* ${name}${head}`;
    }
    return `${modifiers(node, this.#file, ["static"])}* ${name}${head}`;
  }

  /** The fields' initializers run in the constructor, as ever; the rest is a method. */
  #initializer(node: ts.ConstructorDeclaration, parameters: string, statements: string): string {
    const fields: string[] = [];
    const kept: string[] = [];
    for (const one of node.parameters) {
      if (!ts.isParameterPropertyDeclaration(one, node)) continue;
      const name = one.name.getText(this.#file);
      fields.push(`declare ${name}: any;`);
      kept.push(`(this as any).${name} = ${name};`);
    }
    // A constructor that returns early has made something all the same.
    return `${fields.join(" ")} * $init(${parameters}): any { ${kept.join(" ")} ` +
      `yield* (function* (this: any): any { let $t: any; ${statements}\n }).call(this); return this; }`;
  }

  #parameter(node: ts.ParameterDeclaration, defaults: string[]): string {
    const { initializer, name, type, dotDotDotToken } = node;
    const dots = dotDotDotToken === undefined ? "" : "...";
    const written = this.#core(name);
    const typed = type === undefined ? "" : `: ${type.getText(this.#file)}`;
    if (initializer === undefined) {
      return `${dots}${written}${node.questionToken === undefined ? "" : "?"}${typed}`;
    }
    const value = this.#core(initializer);
    if (!value.includes("yield")) return `${written}${typed} = ${value}`;
    defaults.push(`if (${written} === undefined) ${written} = ${value};`);
    return `${written}?: any`;
  }
}

/** What the method beside a getter is called. */
function getterName(name: ts.Node): string {
  const text = name.getText();
  return text.startsWith("#") ? `#$get_${text.slice(1)}` : `$get_${text}`;
}

function comma(parameters: string): string {
  return parameters === "" ? "" : `, ${parameters}`;
}

function modifiers(node: Body, file: ts.SourceFile, wanted: readonly string[]): string {
  const all = ts.canHaveModifiers(node) ? ts.getModifiers(node) ?? [] : [];
  return all.map((one) => one.getText(file)).filter((one) => wanted.includes(one))
    .map((one) => `${one} `).join("");
}

function isIdentifierNamed(node: ts.Node, name: string): boolean {
  return ts.isIdentifier(node) && node.text === name;
}

function isChainGoingOn(node: ts.Node): boolean {
  const { parent } = node;
  return (ts.isPropertyAccessExpression(parent) || ts.isCallExpression(parent) ||
    ts.isElementAccessExpression(parent)) && parent.expression === node;
}

/** The directory of a module, for its imports. */
export function resolveImport(from: string, specifier: string): string {
  return specifier.startsWith(".") ? join(dirname(from), specifier) : specifier;
}
