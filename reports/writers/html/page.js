// The page works without this: it adds buttons that copy, and moves the focus to the finding shown.
for (const block of document.querySelectorAll("pre[data-copy]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(block.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(block);
      button.textContent = "Selected: copy with Ctrl+C";
    }
  });
  block.before(button);
}
function shown() {
  const page = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const heading = page && page.querySelector("h2");
  if (!heading) return;
  heading.tabIndex = -1;
  heading.focus({ preventScroll: true });
  scrollTo(0, 0);
}
addEventListener("hashchange", shown);
if (location.hash) shown();
