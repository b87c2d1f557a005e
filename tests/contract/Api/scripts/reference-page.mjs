// Runs the script of the reference page in as little of a browser as it needs, and sends the form of one operation.
const { pageUrl, secret, operation, path } = JSON.parse(process.argv[2])

class Element {
  constructor(name) {
    Object.assign(this, { name, children: [], dataset: {}, listeners: {} })
  }

  append(...children) {
    this.children.push(...children)
  }

  replaceChildren(...children) {
    this.children = children
  }

  addEventListener(type, listener) {
    this.listeners[type] = listener
  }

  all(wanted) {
    return this.children.flatMap((child) => (child instanceof Element ? [...(wanted(child) ? [child] : []), ...child.all(wanted)] : []))
  }

  querySelectorAll() {
    return this.all((element) => element.dataset.place)
  }
}

const byId = {
  secret: Object.assign(new Element('input'), { value: secret }),
  region: Object.assign(new Element('input'), { value: 'fr-par' }),
  operations: new Element('main'),
}
globalThis.document = { createElement: (name) => new Element(name), getElementById: (id) => byId[id] }
const overNetwork = globalThis.fetch
const answers = []
globalThis.fetch = async (url, options) => {
  const answer = await overNetwork(new URL(url, pageUrl), options)
  answers.push(answer)
  return answer
}

const script = await (await overNetwork(new URL('reference.js', pageUrl))).text()
await import(`data:text/javascript,${encodeURIComponent(script)}`)
const shown = byId.operations.all((element) => element.id)
const form = shown.find((element) => element.id === operation).all((element) => element.name === 'form')[0]
for (const input of form.querySelectorAll()) input.value = path[input.name] ?? input.value
form.listeners.submit({ preventDefault() {} })
while (answers.length < 2) await new Promise((resolve) => setTimeout(resolve, 5))
console.log(JSON.stringify({ is: 'done', operations: shown.map((element) => element.id), status: answers[1].status, url: answers[1].url }))
