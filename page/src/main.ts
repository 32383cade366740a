// The page: parts that ask and show, each for itself.

import './style.css';
import 'uplot/dist/uPlot.min.css';
import { startAlerts } from './alerts';
import { startCharts } from './charts';
import { announce, byId } from './dom';
import { startHealth } from './health';
import { startPipeline } from './pipeline';
import { pause, paused } from './poll';
import { startSql } from './sql';
import { showStart } from './start';
import { startTheme } from './theme';

startTheme();
startHealth();
startAlerts();
startCharts(showStart);
startPipeline();
startSql();

const button = byId('pause');
button.addEventListener('click', () => {
  pause(!paused());
  button.dataset.paused = String(paused());
  button.textContent = paused() ? 'Paused' : 'Live';
  button.setAttribute('aria-label', paused() ? 'Paused: refresh again' : 'Live: pause refreshing');
  announce(paused() ? 'Refreshing is paused' : 'Refreshing goes on');
});
