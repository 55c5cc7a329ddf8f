// Before anything is drawn, so that a dark page never flashes white. A classic script for that reason.
(() => {
  try {
    const chosen = localStorage.getItem("opensymphony.theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // Storage that is switched off leaves the preference of the system.
  }
})();
