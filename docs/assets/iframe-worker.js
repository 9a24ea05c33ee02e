/* Search in a site that is opened from disk: browsers give pages of `file:` no workers, so the search
   runs in a hidden frame that behaves like one. Served by a server, nothing here takes effect. */
class IFrameWorker extends EventTarget {
  constructor(url) {
    super()
    this.url = url
    this.onmessage = this.onerror = null
    this.frame = document.createElement("iframe")
    this.frame.hidden = true
    document.body.append(this.frame)
    this.ready = new Promise((resolve) => {
      const page = this.frame.contentDocument
      page.open()
      page.write("<!doctype html><body></body>")
      page.close()
      const inside = this.frame.contentWindow
      inside.postMessage = (data) => {
        const told = new MessageEvent("message", { data })
        this.dispatchEvent(told)
        if (this.onmessage) this.onmessage(told)
      }
      const load = (address) =>
        new Promise((done, failed) => {
          const script = page.createElement("script")
          script.src = address
          script.onload = done
          script.onerror = failed
          page.body.append(script)
        })
      inside.importScripts = (...addresses) =>
        addresses.reduce((before, address) => before.then(() => load(address)), Promise.resolve())
      load(new URL(url, location.href).href).then(resolve)
    })
  }

  postMessage(data) {
    this.ready.then(() => {
      const inside = this.frame.contentWindow
      inside.dispatchEvent(new inside.MessageEvent("message", { data }))
    })
  }

  terminate() {
    this.frame.remove()
  }
}

if (location.protocol === "file:") {
  window.IFrameWorker = IFrameWorker
  window.Worker = IFrameWorker
}
