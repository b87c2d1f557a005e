// Shows the OpenAPI description of this server and tries its operations. Everything comes from this server.
const byId = (id) => document.getElementById(id)

/** An element with properties and children; text stays text. */
function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties)
  element.append(...children)
  return element
}

const api = await (await fetch('../openapi.json')).json()
const resolve = (schema) => (schema?.$ref ? api.components.schemas[schema.$ref.split('/').pop()] : schema)
const pretty = (value) => JSON.stringify(value, null, 2)

function field(parameter) {
  const { schema, name } = parameter
  const options = schema.enum ?? (schema.type === 'boolean' ? ['true', 'false'] : null)
  const input = options
    ? make('select', { name }, make('option', { value: '' }), ...options.map((option) => make('option', { value: option }, option)))
    : make('input', { name, value: name === 'region' ? byId('region').value : '' })
  input.required = parameter.required
  input.dataset.place = parameter.in
  const marks = [parameter.in, schema.format ?? schema.type, parameter.required && 'required', parameter['x-extension'] && 'extension']
  return make('label', {}, input, ` ${name} (${marks.filter(Boolean).join(', ')})`)
}

function bodyOf(operation) {
  const content = Object.entries(operation.requestBody?.content ?? {})
  if (!content.length) return null
  const [type, { schema }] = content[0]
  const text = make('textarea', { spellcheck: false, value: type === 'application/json' ? '{}' : '' })
  const shape = make('details', {}, make('summary', {}, `${type}: what it may hold`), make('pre', {}, pretty(resolve(schema))))
  return { type, text, shape }
}

async function call(method, path, form, body, output) {
  const query = new URLSearchParams()
  const headers = { 'X-Auth-Token': byId('secret').value }
  let target = path
  for (const input of form.querySelectorAll('[data-place]')) {
    if (!input.value) continue
    if (input.dataset.place === 'path') target = target.replace(`{${input.name}}`, encodeURIComponent(input.value))
    else if (input.dataset.place === 'header') headers[input.name] = input.value
    else query.append(input.name, input.value)
  }
  if (body) headers['Content-Type'] = body.type
  output.textContent = '…'
  try {
    const answer = await fetch(`${target}${query.size ? `?${query}` : ''}`, { method, headers, body: body?.text.value })
    const text = await answer.text()
    const isJson = text && answer.headers.get('content-type') === 'application/json'
    output.textContent = `${answer.status}\n${isJson ? pretty(JSON.parse(text)) : text}`
  } catch (error) {
    output.textContent = String(error)
  }
}

function show(path, method, operation) {
  const verb = method.toUpperCase()
  const summary = make('summary', {}, make('b', {}, verb), path.replace('/iot/v1/regions/{region}', ''))
  if (operation['x-extension']) summary.append(make('i', {}, 'extension'))
  const body = bodyOf(operation)
  const output = make('pre')
  const form = make('form', {}, ...(operation.parameters ?? []).map(field))
  if (body) form.append(body.shape, body.text)
  form.append(make('button', {}, `Send ${verb}`))
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    call(verb, path, form, body, output)
  })
  const answers = Object.entries(operation.responses).map(([status, { content }]) => make('details', {},
    make('summary', {}, `answer ${status}`),
    make('pre', {}, pretty(resolve(Object.values(content ?? {})[0]?.schema) ?? 'nothing'))))
  return make('details', { id: operation.operationId }, summary, make('p', {}, operation.description), form, output, ...answers)
}

const groups = new Map()
for (const [path, methods] of Object.entries(api.paths)) {
  for (const [method, operation] of Object.entries(methods)) {
    const group = operation.tags[0]
    groups.set(group, [...(groups.get(group) ?? []), show(path, method, operation)])
  }
}
byId('operations').replaceChildren(...[...groups].flatMap(([name, shown]) => [make('h2', {}, name.replaceAll('-', ' ')), ...shown]))
